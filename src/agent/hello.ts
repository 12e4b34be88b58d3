/**
 * The first line each way on every connection to an agent, before anything else is said. It tells garbage, another
 * protocol and another version apart from a peer that can be talked to.
 */
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { fromWire, toWire, wireErrorSchema } from './wire-error.ts';

/** Goes up when an older program could not talk to a newer one. */
const PROTOCOL = 1;
const HELLO_MS = 5000;
const MAX_LINE_BYTES = 4096;

const helloSchema = z.discriminatedUnion('kind', [
  /** Calls; `from` agents must be of the same version, a command line may be older or newer. */
  z.object({
    drayage: z.string().max(64),
    protocol: z.number(),
    kind: z.literal('rpc'),
    from: z.enum(['cli', 'agent']),
  }),
  /** Bulk data for which a ticket was given over a connection of calls. */
  z.object({
    drayage: z.string().max(64),
    protocol: z.number(),
    kind: z.literal('channel'),
    ticket: z.string().max(128),
  }),
]);
export type Hello = z.infer<typeof helloSchema>;
type HelloWithoutVersion = Hello extends infer H ? (H extends Hello ? Omit<H, 'drayage' | 'protocol'> : never) : never;

/** What `drayage dial` puts in front, on the host where it runs: from which address ssh was reached. */
const preambleSchema = z.object({ dialledFrom: z.string().max(128) });

const answerSchema = z.union([
  z.object({ drayage: z.string().max(64), protocol: z.number() }),
  z.object({ error: wireErrorSchema }),
]);

export interface Greeting {
  /** Version of the program at the other end. */
  version: string;
}

export interface HelloOptions {
  /** This program's version. */
  version: string;
  /** Who is at the other end, for messages. */
  peer: string;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * Says hello as the side that dialled, and hears the answer. On failure the stream is destroyed.
 * @throws DrayageError the other side's; AGENT_VERSION, AGENT_PROTOCOL, AGENT_TIMEOUT, AGENT_LOST
 */
export async function sayHello(stream: Duplex, hello: HelloWithoutVersion, options: HelloOptions): Promise<Greeting> {
  const { version, peer } = options;
  try {
    stream.write(`${JSON.stringify({ drayage: version, protocol: PROTOCOL, ...hello })}\n`);
    const line = await readLine(stream, options);
    const answer = answerSchema.safeParse(parseJson(line));
    if (!answer.success) throw garbage(peer, line);
    if ('error' in answer.data) throw fromWire(answer.data.error);
    const strict = hello.kind === 'channel' || hello.from === 'agent';
    checkVersion(answer.data, options, strict);
    return { version: answer.data.drayage };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Hears the hello of a side that dialled in, without answering yet; `dialledFrom` is the address that ssh was reached
 * from, where that is the way. On failure the other side is told in one line, and the stream ends.
 * @throws DrayageError AGENT_VERSION, AGENT_PROTOCOL, AGENT_TIMEOUT, AGENT_LOST
 */
export async function hearHello(
  stream: Duplex,
  options: HelloOptions,
): Promise<{ hello: Hello; dialledFrom: string | undefined }> {
  try {
    let line = await readLine(stream, options);
    const preamble = preambleSchema.safeParse(parseJson(line));
    if (preamble.success) line = await readLine(stream, options);
    const value = parseJson(line);
    const parsed = helloSchema.safeParse(value);
    if (!parsed.success) {
      const versions = z.object({ drayage: z.string(), protocol: z.number() }).safeParse(value);
      if (versions.success) checkVersion(versions.data, options, true);
      throw garbage(options.peer, line);
    }
    checkVersion(parsed.data, options, parsed.data.kind === 'channel' || parsed.data.from === 'agent');
    return { hello: parsed.data, dialledFrom: preamble.data?.dialledFrom };
  } catch (error) {
    refuse(stream, error);
    throw error;
  }
}

/** Answers a hello that was accepted. */
export function welcome(stream: Duplex, version: string): void {
  stream.write(`${JSON.stringify({ drayage: version, protocol: PROTOCOL })}\n`);
}

/** Answers with an error, and ends the stream. */
export function refuse(stream: Duplex, error: unknown): void {
  stream.on('error', () => {}); // It may be gone already; there is nobody left to tell.
  stream.end(`${JSON.stringify({ error: toWire(error) })}\n`);
  stream.resume();
  setTimeout(() => stream.destroy(), 1000).unref();
}

/** Reads up to the first newline and leaves the rest in the stream. */
function readLine(stream: Duplex, { peer, signal, timeoutMs = HELLO_MS }: HelloOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = Buffer.alloc(0);
    const onReadable = () => {
      for (let chunk = stream.read() as Buffer | null; chunk !== null; chunk = stream.read() as Buffer | null) {
        const end = chunk.indexOf(10);
        line = Buffer.concat([line, chunk.subarray(0, end === -1 ? chunk.length : end)]);
        if (line.length > MAX_LINE_BYTES) return done(garbage(peer, line.toString('latin1')));
        if (end === -1) continue;
        const rest = chunk.subarray(end + 1);
        done(undefined); // First take the listener off: unshift would call it.
        if (rest.length > 0) stream.unshift(rest);
        return;
      }
    };
    const onEnd = () =>
      done(
        lost(
          peer,
          line.length === 0 ? 'it closed the connection without a word' : 'it stopped in the middle of its first line',
        ),
      );
    const onError = (error: Error) => done(error instanceof DrayageError ? error : lost(peer, error.message, error));
    const onAbort = () => done(DrayageError.from(signal?.reason));
    const timer = setTimeout(() => {
      done(new DrayageError('AGENT_TIMEOUT', `${peer} did not say hello within ${timeoutMs / 1000} s.`));
    }, timeoutMs);
    const done = (error: DrayageError | undefined) => {
      clearTimeout(timer);
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
      signal?.removeEventListener('abort', onAbort);
      if (error === undefined) return resolve(line.toString('utf8'));
      stream.on('error', () => {});
      reject(error);
    };
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) onAbort();
  });
}

function checkVersion(theirs: { drayage: string; protocol: number }, options: HelloOptions, strict: boolean): void {
  if (theirs.protocol === PROTOCOL && (!strict || theirs.drayage === options.version)) return;
  throw new DrayageError(
    'AGENT_VERSION',
    `${options.peer} runs drayage ${theirs.drayage} (protocol ${theirs.protocol}), this is ${options.version} (protocol ${PROTOCOL}).`,
  );
}

function garbage(peer: string, line: string): DrayageError {
  const shown = JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
  return new DrayageError('AGENT_PROTOCOL', `${peer} did not say hello but ${shown}.`);
}

function lost(peer: string, why: string, cause?: Error): DrayageError {
  return new DrayageError('AGENT_LOST', `The connection to ${peer} was lost: ${why}.`, { cause });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
