/** One run of rsync's sending end, bridged to a stream. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import { type ProgramRecorder, runner, type Started } from '../exec/run.ts';
import { openWhereRead } from '../tools/fifo.ts';
import { startSender, type Transfer, type TransferOutcome, transferOutcome } from '../tools/rsync.ts';
import { bridge } from './bridge.ts';
import type { BytePath } from './byte-path.ts';

export interface SendOptions {
  /** Key of the tree, for messages. */
  what: string;
  open(): Promise<Duplex>;
  record?: ProgramRecorder | undefined;
  signal?: AbortSignal | undefined;
  /** Told of the bytes that went into the stream so far. */
  onProgress?: ((bytes: number) => void) | undefined;
  workDir?: string | undefined;
}

export interface Sent {
  /** That went into the stream since it was opened. */
  bytes: number;
  outcome: TransferOutcome;
}

/** A whole transfer, from the opening of the stream to rsync's end. */
export async function transfer(what: Transfer, options: SendOptions): Promise<Sent> {
  options.signal?.throwIfAborted();
  return new Bridge(await options.open(), what, options).ended();
}

interface ListedFrom {
  root: string;
  overlay: boolean;
  rootOnly?: boolean;
}

/** A transfer that is connected and waits for the paths that it shall send. */
export class ListedTransfer {
  readonly #bridge: Bridge;
  readonly #list: Socket;
  readonly #again: (part: { rootOnly: true }) => Promise<ListedTransfer>;

  private constructor(bridge: Bridge, list: Socket, again: (part: { rootOnly: true }) => Promise<ListedTransfer>) {
    this.#bridge = bridge;
    this.#list = list;
    this.#again = again;
  }

  static async begin(from: ListedFrom, options: SendOptions): Promise<ListedTransfer> {
    options.signal?.throwIfAborted();
    const directory = mkdtempSync(join(options.workDir ?? tmpdir(), 'drayage-list-'));
    try {
      const list = join(directory, 'paths');
      const run = runner(options.signal === undefined ? {} : { signal: options.signal });
      await run('mkfifo', ['-m', '0600', list]);
      const bridge = new Bridge(await options.open(), { kind: 'listed', ...from, list }, options);
      const fd = await openWhenRead(list, bridge);
      const socket = new Socket({ fd, readable: false, writable: true });
      socket.on('error', () => {}); // rsync ended early, and says why.
      return new ListedTransfer(bridge, socket, (part) => ListedTransfer.begin({ ...from, ...part }, options));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /**
   * The root is sent by a transfer of its own, and last: rsync takes `.` in a list for all that is directly in it, sends
   * those files anew and so takes them away from hard links elsewhere.
   */
  async send(paths: Iterable<BytePath>): Promise<Sent> {
    const below = new Set(paths);
    if (!below.delete('')) return this.#sendAs([...below].map((path) => `./${path}`));
    if (below.size === 0) {
      this.abandon();
      return (await this.#again({ rootOnly: true })).#sendAs(['./']);
    }
    const [sent, root] = await Promise.all([
      this.#sendAs([...below].map((path) => `./${path}`)),
      this.#again({ rootOnly: true }),
    ]);
    const last = await root.#sendAs(['./']);
    return { bytes: sent.bytes + last.bytes, outcome: sent.outcome === 'complete' ? last.outcome : sent.outcome };
  }

  /** @param names with a dot first: a name that begins with # or ; would be a comment. */
  async #sendAs(names: readonly string[]): Promise<Sent> {
    this.#list.end(Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'));
    return this.#bridge.ended();
  }

  /** Both ends are let go of; nothing has been sent. */
  abandon(): void {
    this.#bridge.abandon();
    this.#list.destroy();
  }
}

class Bridge {
  readonly #what: string;
  readonly #sender: Started;
  readonly #stream: Duplex;
  readonly #stderr: Promise<string>;
  readonly #startedAt = performance.now();
  readonly #options: SendOptions;
  #bytes = 0;
  #over = false;

  constructor(stream: Duplex, what: Transfer, options: SendOptions) {
    this.#what = options.what;
    this.#options = options;
    this.#stream = stream;
    this.#sender = startSender(what, options.signal);
    this.#stderr = text(this.#sender.stderr);
    void this.#sender.exited.then(() => {
      this.#over = true;
    });
    bridge(stream, this.#sender, (bytes) => {
      this.#bytes += bytes;
      options.onProgress?.(this.#bytes);
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  async ended(): Promise<Sent> {
    const [{ code, error }, stderr] = await Promise.all([this.#sender.exited, this.#stderr]);
    const { record, signal } = this.#options;
    record?.('rsync', this.#startedAt, performance.now() - this.#startedAt);
    try {
      signal?.throwIfAborted();
      if (error !== undefined) {
        const message = `rsync cannot be started on the source: ${error.message}`;
        throw new DrayageError('FILES_TRANSFER', message, { cause: error });
      }
      return { bytes: this.#bytes, outcome: transferOutcome(this.#what, { code, stderr }) };
    } catch (error) {
      this.#stream.destroy();
      throw error;
    }
  }

  abandon(): void {
    this.#sender.kill('SIGKILL');
    this.#stream.destroy();
  }
}

/** rsync blocks in its open until somebody opens the other end; ours fails until rsync is there. */
async function openWhenRead(fifo: string, bridge: Bridge): Promise<number> {
  for (;;) {
    const fd = openWhereRead(fifo);
    if (fd !== undefined) return fd;
    if (bridge.isOver) {
      await bridge.ended();
      throw new DrayageError('FILES_TRANSFER', 'rsync ended before it was told what to send.');
    }
    await sleep(1);
  }
}
