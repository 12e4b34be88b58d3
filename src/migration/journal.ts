/**
 * The journal of one migration on one side: append-only JSON lines, on disk before the deed. Undo, recovery after a
 * crash, `drayage history` and `drayage watch` all read it.
 */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DrayageError } from '../errors.ts';
import { type JournalFile, journalFiles, journalPath, load, MAX_LINE_BYTES } from './journal-file.ts';
import type { JournalRecord, NewRecord, Side } from './journal-records.ts';

export { journalPath } from './journal-file.ts';

const LAZY_SYNC_MS = 200;

export type JournalEntry = JournalFile & ({ records: JournalRecord[] } | { error: DrayageError });

export class Journal implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #records: JournalRecord[];
  readonly #wake = new Set<() => void>();
  #size: number;
  #queue: Pending[] = [];
  #writing: Promise<void> | undefined;
  #lazySync: NodeJS.Timeout | undefined;
  #closed = false;
  /** Why nothing can be written any more: what is on disk is not known. */
  #broken: DrayageError | undefined;

  private constructor(path: string, file: FileHandle, records: JournalRecord[], size: number) {
    this.path = path;
    this.#file = file;
    this.#records = records;
    this.#size = size;
  }

  /**
   * Begins the journal `<dir>/<id>.<side>.jsonl` with a header that carries `data`; file and directory entry are on
   * disk when it resolves.
   * @throws DrayageError JOURNAL_WRITE, also where there is such a journal already.
   */
  static async create(dir: string, id: string, side: Side, data?: unknown): Promise<Journal> {
    const path = journalPath(dir, id, side);
    let journal: Journal | undefined;
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      journal = new Journal(path, await open(path, 'ax', 0o600), [], 0);
      await journal.append({ type: 'header', format: 1, id, side, ...(data === undefined ? {} : { data }) });
      await syncDirectory(dir);
      return journal;
    } catch (error) {
      if (journal !== undefined) {
        await journal.close();
        await rm(path, { force: true }).catch(() => {});
      }
      throw writeError(path, error);
    }
  }

  /**
   * Goes on with a journal after a restart: a line torn by a crash is cut off first.
   * @throws DrayageError JOURNAL_CORRUPT, JOURNAL_WRITE
   */
  static async reopen(path: string): Promise<Journal> {
    const { records, size } = await load(path);
    try {
      const file = await open(path, 'a', 0o600);
      await file.truncate(size);
      await file.datasync();
      return new Journal(path, file, records, size);
    } catch (error) {
      throw writeError(path, error);
    }
  }

  /**
   * All records; a last line torn by a crash is left out. Empty where the crash came before the header: nothing was done.
   * @throws DrayageError JOURNAL_CORRUPT, naming file and line
   */
  static async read(path: string): Promise<JournalRecord[]> {
    return (await load(path)).records;
  }

  /** Every journal in a directory; one that cannot be read is listed with its error, and hides no other. */
  static async list(dir: string): Promise<JournalEntry[]> {
    const entries: JournalEntry[] = [];
    // One after another: a long history must not run out of descriptors.
    for (const file of await journalFiles(dir)) {
      try {
        entries.push({ ...file, records: await Journal.read(file.path) });
      } catch (error) {
        entries.push({ ...file, error: DrayageError.from(error) });
      }
    }
    return entries;
  }

  /** All records so far: on disk, or lazy ones on their way there. */
  get records(): readonly JournalRecord[] {
    return this.#records;
  }

  /**
   * On disk (fdatasync) when it resolves.
   * @throws DrayageError JOURNAL_WRITE: the record is not in the journal, and what it announces must not be done.
   */
  append(record: NewRecord): Promise<void> {
    return new Promise((resolve, reject) => this.#enqueue(record, { resolve, reject }));
  }

  /** For events: written in order, but synced only with the next append or after 200 ms; never fails its caller. */
  appendLazy(record: NewRecord): void {
    this.#enqueue(record, undefined);
  }

  /** Records from a position on, then each as it is appended, until the journal is closed or `signal` aborts. */
  async *follow(from = 0, signal?: AbortSignal): AsyncGenerator<JournalRecord, void, undefined> {
    for (let at = from; ; ) {
      for (let record = this.#records[at]; record !== undefined; record = this.#records[++at]) yield record;
      // What was appended before the close is still to come while it is being written.
      if ((this.#closed && this.#writing === undefined) || signal?.aborted) return;
      await new Promise<void>((wake) => {
        const done = () => {
          this.#wake.delete(done);
          signal?.removeEventListener('abort', done);
          wake();
        };
        this.#wake.add(done);
        signal?.addEventListener('abort', done);
      });
    }
  }

  /** Writes and syncs what is pending and ends every follower. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#writing !== undefined) await this.#writing;
    clearTimeout(this.#lazySync);
    for (const wake of [...this.#wake]) wake();
    await this.#file.datasync().catch(() => {}); // Only lazy records can be concerned.
    await this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #enqueue(newRecord: NewRecord, durable: Durable | undefined): void {
    const record: JournalRecord = { time: Date.now(), ...newRecord };
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    const refused = this.#closed
      ? new DrayageError('JOURNAL_WRITE', `${this.path} is closed.`)
      : line.length > MAX_LINE_BYTES
        ? new DrayageError('JOURNAL_WRITE', `A record of ${line.length} bytes is too large for ${this.path}.`)
        : undefined;
    if (refused !== undefined) {
      durable?.reject(refused);
      return;
    }
    this.#queue.push({ record, line, durable });
    this.#writing ??= this.#drain();
  }

  /** One write and at most one sync for all that has come up meanwhile. */
  async #drain(): Promise<void> {
    await undefined; // What is appended in the same turn goes into the same write.
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const durable = batch.some((pending) => pending.durable !== undefined);
      try {
        await this.#write(
          batch.map((pending) => pending.line),
          durable,
        );
      } catch (error) {
        for (const pending of batch) pending.durable?.reject(writeError(this.path, error));
        this.#publish(batch.filter((pending) => pending.durable === undefined));
        continue;
      }
      this.#publish(batch);
      for (const pending of batch) pending.durable?.resolve();
    }
    this.#writing = undefined;
  }

  async #write(lines: Buffer[], durable: boolean): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const bytes = Buffer.concat(lines);
    try {
      await this.#file.appendFile(bytes);
    } catch (error) {
      // A full disk may have taken half of it: what comes later must not follow a torn line.
      await this.#file.truncate(this.#size).catch((second) => this.#break(second));
      throw error;
    }
    this.#size += bytes.length;
    if (durable) {
      clearTimeout(this.#lazySync);
      this.#lazySync = undefined;
      // After a failed fsync the kernel drops the dirty pages: what is on disk is not known from here on.
      await this.#file.datasync().catch((error) => this.#break(error));
      if (this.#broken !== undefined) throw this.#broken;
    } else {
      this.#lazySync ??= setTimeout(() => {
        this.#lazySync = undefined;
        this.#file.datasync().catch((error) => this.#break(error));
      }, LAZY_SYNC_MS).unref();
    }
  }

  #break(error: unknown): void {
    if (!this.#closed) this.#broken ??= writeError(this.path, error);
  }

  #publish(batch: Pending[]): void {
    for (const pending of batch) this.#records.push(pending.record);
    for (const wake of [...this.#wake]) wake();
  }
}

interface Durable {
  resolve(): void;
  reject(error: DrayageError): void;
}

interface Pending {
  record: JournalRecord;
  line: Buffer;
  durable: Durable | undefined;
}

function writeError(path: string, error: unknown): DrayageError {
  if (error instanceof DrayageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new DrayageError('JOURNAL_WRITE', `The journal ${path} cannot be written: ${message}.`, {
    cause: error,
    ...(code === 'ENOSPC' && { remedy: `Make room in ${dirname(path)}, then run the command again.` }),
  });
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
