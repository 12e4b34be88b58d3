/** The target's end of the memory images: writes them into its staging area as they come. */
import { closeSync, existsSync, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { DrayageError } from '../errors.ts';
import { FILE_NAME, FrameParser, lost, PARENT, protocolError } from './frames.ts';

const MAX_FILES = 100_000;

/** A stream that can hand its pieces over without allocating (agent/channel-stream.ts). */
export type ImageStream = Duplex & { consume?: (sink: (piece: Buffer) => void) => Promise<void> };

/**
 * Receives the files into `dir`, which must be empty or hold only files that may be replaced, and those that were sent
 * while the workload ran into `parent` beside it, where CRIU looks for the pages that the dump leaves out.
 * @param names under which some are to be written, in place of their own
 * @returns bytes received.
 * @throws DrayageError PROTOCOL where the peer sends what it should not, MEMORY_STAGING where the staging area is full.
 */
export async function receiveImages(
  dir: string,
  stream: ImageStream,
  names: ReadonlyMap<string, string> = new Map(),
): Promise<number> {
  const fds = new Map<number, number>();
  let hasParent = false;
  let bytes = 0;
  const frames = new FrameParser({
    announce: (payload) => {
      const [number, name] = payload.toString('utf8').split(' ', 2);
      if (name === undefined || !FILE_NAME.test(name) || fds.has(Number(number)) || fds.size >= MAX_FILES)
        throw protocolError(`image file ${JSON.stringify(name)}`);
      if (name.startsWith(`${PARENT}/`) && !hasParent) {
        hasParent = true;
        makeParent(dir);
      }
      const path = name.startsWith(`${PARENT}/`) ? join(dir, '..', name) : join(dir, names.get(name) ?? name);
      fds.set(Number(number), openSync(path, 'w', 0o600));
    },
    data: (number, offset, payload) => {
      const fd = fds.get(number);
      if (fd === undefined) throw protocolError(`data of an unannounced file ${number}`);
      writeAll(fd, payload, offset);
      bytes += payload.length;
    },
  });
  try {
    await consume(stream, (piece) => frames.push(piece));
    if (!frames.ended) throw lost(stream.errored);
    stream.end(Buffer.of(1));
    return bytes;
  } catch (error) {
    throw error instanceof DrayageError ? error : lost(error as Error);
  } finally {
    for (const fd of fds.values()) closeSync(fd);
    fds.clear(); // What comes all the same goes nowhere.
  }
}

async function consume(stream: ImageStream, sink: (piece: Buffer) => void): Promise<void> {
  if (stream.consume !== undefined) return stream.consume(sink);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // Flowing: an iterator would join what has come, and so copy it.
  stream.on('data', (piece: Buffer) => {
    try {
      sink(piece);
    } catch (error) {
      stream.pause();
      reject(error);
    }
  });
  await Promise.race([finished(stream, { writable: false }), failed]);
}

function makeParent(dir: string): void {
  // A stream that was cut short may have made it.
  if (existsSync(join(dir, '..', PARENT))) return;
  mkdirSync(join(dir, '..', PARENT), { mode: 0o700 });
  symlinkSync(`../${PARENT}`, join(dir, PARENT));
}

function writeAll(fd: number, data: Buffer, position: number): void {
  let done = 0;
  try {
    while (done < data.length) done += writeSync(fd, data, done, data.length - done, position + done);
  } catch (cause) {
    throw new DrayageError('MEMORY_STAGING', `The memory images do not fit: ${(cause as Error).message}.`, { cause });
  }
}
