/**
 * A migration whose target is an archive: calls and streams are written down, to be repeated by `replay` on a host of
 * which nothing is known yet. The commit is the moment when the archive is complete and on disk: from then on somebody
 * may import it, so the source's copy must not run again.
 */
import { addAbortSignal, Duplex, duplexPair, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { MANIFEST, MAX_ENTRY } from '../../archive/layout.ts';
import type { ArchiveOutput } from '../../archive/output.ts';
import { ArchiveWriter } from '../../archive/writer.ts';
import type { HostFacts, TreeQuestion, TreeSurroundings } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import { limits } from '../../exec/limits.ts';
import { readFrames, writeAnswer, writeFrame } from '../../files/log-frames.ts';
import type { ChannelPurpose, CommitAnswer, OpenTarget, TargetOutcome, TargetPort } from '../target-port.ts';
import { anyHost, nothingOf, withoutOthers } from './any-host.ts';
import type { Contents } from './contents.ts';
import { DOCUMENTS, FORMAT, type Manifest, type StreamHead } from './manifest.ts';

export interface ArchiveTargetOptions {
  output: ArchiveOutput;
  /** Between the archive and the output, where it is encrypted; `done` when all has gone through. */
  through?: { stream: Writable; done: Promise<void> };
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  self: { name: string; machine: string };
  /** Version of this program. */
  drayage: string;
  /** Throws what an import would say of it. */
  assertOpenable?: (manifest: Manifest) => void;
  /** Left out where the image is only to be named: what the host that imports it will have. */
  image?: { id: string; tags: string[] };
}

export class ArchiveTarget implements TargetPort {
  readonly oneWay = true;
  readonly lost: Promise<DrayageError | undefined>;
  signal?: AbortSignal;
  readonly #options: ArchiveTargetOptions;
  readonly #writer: ArchiveWriter;
  readonly #streams = new Set<Promise<void>>();
  #memory: Promise<void> | undefined;
  #failed: unknown;
  #count = 0;
  #host: HostFacts | undefined;

  constructor(options: ArchiveTargetOptions) {
    this.#options = options;
    this.lost = options.output.lost.then(() => undefined);
    const { output, through } = options;
    this.#writer = new ArchiveWriter(through?.stream ?? output.stream, {
      keepsNothing: through === undefined && output.keepsNothing === true,
    });
  }

  async survey(): Promise<HostFacts> {
    this.#host = await this.#options.hostFacts(this.signal ?? new AbortController().signal);
    return anyHost(this.#host, this.#options.image);
  }

  async open({ id, workload, options }: OpenTarget): Promise<void> {
    const { drayage, self: from, image } = this.#options;
    const manifest: Manifest = {
      format: FORMAT,
      ...{ id, createdAt: Date.now(), drayage },
      kind: options.leaveRunning ? 'snapshot' : 'export',
      ...{ from, host: withoutOthers(this.#host ?? (await this.survey())), workload, options },
      image: image === undefined,
    };
    const written = JSON.parse(JSON.stringify(manifest)) as Manifest;
    try {
      this.#options.assertOpenable?.(written);
    } catch (error) {
      const what = DrayageError.from(error).message;
      throw new DrayageError('ARCHIVE_WRITE', `No import would take the archive: ${what}`, { cause: error });
    }
    await this.#document(MANIFEST, written);
  }

  async channel(_id: string, purpose: ChannelPurpose, meta: unknown): Promise<Duplex> {
    if (purpose === 'files') throw noAnswer('files');
    const name = `${String(++this.#count).padStart(2, '0')}-${purpose}`;
    await this.#document(`${name}.json`, { purpose, meta: meta as StreamHead['meta'] } satisfies StreamHead);
    const entry = this.#writer.stream(name);
    const [near, recorded] = purpose === 'logs' ? recordedLog(entry) : recordedStream(entry, ANSWERS[purpose]);
    // Whoever writes is told, and has to be by then: an event that nobody listens to ends the agent.
    for (const stream of [entry, near]) stream.on('error', () => {});
    // See #unlessUndone.
    if (this.signal !== undefined) addAbortSignal(this.signal, near);
    const settled = recorded.catch((error: unknown) => {
      this.#failed ??= error;
      near.destroy(error as Error);
    });
    // That one is open from before the freeze until all is there.
    if (purpose === 'memory') this.#memory = settled;
    else this.#streams.add(settled);
    void settled.then(() => this.#streams.delete(settled));
    return near;
  }

  async settle(): Promise<void> {
    await this.#unlessUndone(Promise.all([...this.#streams]));
    this.#check();
  }

  /** Nothing is made, and nothing can be told of what will be. */
  async create(): Promise<{ containerId: string; notes: string[] }> {
    this.#check();
    return { containerId: '', notes: [] };
  }

  async begin(_id: string, start: { descriptors: string[] }): Promise<void> {
    await this.#document(DOCUMENTS.start, start);
  }

  async describe(contents: Contents): Promise<void> {
    await this.#document(DOCUMENTS.contents, contents);
  }

  async restore(): Promise<void> {
    await this.#memory;
    await this.settle();
  }

  /** Rejects only where it cannot be told whether somebody has the whole archive. */
  async commit(): Promise<CommitAnswer> {
    const { output, through } = this.#options;
    try {
      this.#check();
      await this.#writer.finish();
      await through?.done;
      await output.commit();
      return { outcome: 'running', sinceMs: 0 };
    } catch (error) {
      if (output.isPublic && this.#writer.isSealed) throw error;
      await this.#drop(error);
      const { message: reason } = DrayageError.from(error);
      return { outcome: 'aborted', reason, ...(error instanceof DrayageError && { error }) };
    }
  }

  async release(): Promise<{ spans: []; notes: [] }> {
    return { spans: [], notes: [] };
  }

  async abort(_id: string, reason: string): Promise<{ spans: [] }> {
    await this.#drop(new DrayageError('CANCELLED', reason));
    return { spans: [] };
  }

  async outcome(): Promise<TargetOutcome> {
    return 'unknown';
  }

  async resolve(): Promise<void> {}

  async close(): Promise<void> {
    await this.#options.output.discard();
  }

  /** Nobody, as far as is known. */
  async inUse(): Promise<string[]> {
    return [];
  }

  path(): Promise<never> {
    throw noAnswer('path');
  }

  async surveyTree(question: TreeQuestion): Promise<TreeSurroundings> {
    return nothingOf(question);
  }

  start(): Promise<never> {
    throw noAnswer('start');
  }

  prune(): Promise<never> {
    throw noAnswer('prune');
  }

  rewrite(): Promise<never> {
    throw noAnswer('rewrite');
  }

  network(): Promise<never> {
    throw noAnswer('network');
  }

  repoint(): Promise<never> {
    throw noAnswer('repoint');
  }

  /** @throws DrayageError ARCHIVE_WRITE for one that no reader would take */
  async #document(name: string, value: unknown): Promise<void> {
    // As it is written, with a blank and a line end more for each part.
    if (Buffer.byteLength(JSON.stringify(value, null, 1)) > MAX_ENTRY)
      throw new DrayageError('ARCHIVE_WRITE', `${name} of the archive would be larger than an archive's parts may be.`);
    await this.#unlessUndone(this.#writer.document(name, value));
  }

  /** An undo does not wait for an output that takes nothing. @throws its reason */
  async #unlessUndone(work: Promise<unknown>): Promise<void> {
    work.catch(() => {}); // Where nobody waits for it any more.
    const { stopped, dispose } = limits(this.signal === undefined ? [] : [this.signal]);
    await Promise.race([work, stopped]).finally(dispose);
  }

  async #drop(reason: unknown): Promise<void> {
    this.#failed ??= reason;
    this.#writer.destroy(DrayageError.from(reason));
    await this.#options.output.discard();
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }
}

/** What whoever sends memory images waits for. */
const ANSWERS: Partial<Record<ChannelPurpose, Buffer>> = { memory: Buffer.of(1) };

/**
 * Whoever writes to the stream uses the memory again when the write has called back: it does when the archive has a copy.
 * @returns the sender's end, and what resolves when all that was sent is in the archive
 */
function recordedStream(entry: Writable, answer: Buffer | undefined): [Duplex, Promise<void>] {
  const recorded = finished(entry, { readable: false });
  const stream = new Duplex({
    writableHighWaterMark: 1 << 20,
    read() {},
    write: (piece: Buffer, _encoding, done) => void entry.write(piece, (error) => done(error)),
    final: (done) => {
      entry.end();
      recorded.then(() => {
        if (answer !== undefined) stream.push(answer);
        stream.push(null);
        done();
      }, done);
    },
    destroy: (error, done) => {
      if (!entry.writableFinished) entry.destroy();
      done(error);
    },
  });
  return [stream, recorded];
}

function recordedLog(entry: Writable): [Duplex, Promise<void>] {
  const [near, far] = duplexPair({ highWaterMark: 1 << 20 });
  far.on('error', () => {}); // Whoever reads it is told.
  const recorded = recordLog(far, entry).catch((error: unknown) => {
    far.destroy();
    throw entry.errored ?? error;
  });
  return [near, recorded];
}

/** Answers as the target would: nothing is lost, since there is room for everything. */
async function recordLog(stream: Duplex, entry: Writable): Promise<void> {
  for await (const { frame, data } of readFrames(stream)) {
    await writeFrame(entry, frame, frame.op === 'data' ? data : undefined);
    if (frame.op !== 'end') continue;
    await writeAnswer(stream, { ok: true, lost: 0 });
    break;
  }
  entry.end();
  await finished(entry, { readable: false });
}

function noAnswer(call: string): DrayageError {
  return new DrayageError('INTERNAL', `An archive was asked for ${call}, which it cannot answer.`);
}
