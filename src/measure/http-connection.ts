/**
 * One long-lived connection to a server that speaks HTTP only: numbered requests one after another, kept alive. The
 * number goes along in a header, for the server's log; HTTP itself gives every request its answer.
 */
import { Client } from 'undici';
import { failureOf } from './failure.ts';
import { get } from './get.ts';
import { Book, type BookOptions, type LongLived } from './long-lived.ts';
import type { HttpTarget } from './target.ts';

/** Longer than any pause between two requests: the server decides when an idle connection ends. */
const KEEP_ALIVE_MS = 600_000;

export class HttpConnection implements LongLived {
  readonly #book: Book;
  readonly #target: HttpTarget;
  readonly #deadlineMs: number;
  #client: Client | undefined;
  #busy = false;
  #ended = false;
  /** The server said that it would close the connection: no fault of anybody. */
  #announced = false;
  #refused = false;

  constructor(target: HttpTarget, options: BookOptions) {
    this.#target = target;
    this.#deadlineMs = options.deadlineMs;
    this.#book = new Book(options);
  }

  get open(): number {
    return this.#book.open;
  }

  due(atMs: number): void {
    if (this.#ended) return;
    this.#book.owed(atMs);
    if (!this.#busy) void this.#ask(atMs);
  }

  end(countLost: boolean): void {
    this.#ended = true;
    this.#book.end(countLost);
    this.#client?.destroy().catch(() => {});
  }

  async #ask(atMs: number): Promise<void> {
    this.#busy = true;
    this.#announced = false;
    this.#client ??= this.#open();
    const client = this.#client;
    const number = this.#book.send(atMs);
    const headers = { 'x-drayage-message': String(number) };
    const { error, keepsAlive } = await get(client, this.#target.url, this.#deadlineMs, { headers });
    this.#busy = false;
    if (this.#ended) return;
    if (error !== undefined) return this.#fail(client, error);
    this.#announced = !keepsAlive;
    this.#refused = false;
    this.#book.receive(number);
  }

  #open(): Client {
    const client = new Client(this.#target.url.origin, {
      connect: this.#target.connector,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
    client.on('disconnect', (_origin, _targets, error) => {
      if (this.#ended || client !== this.#client) return;
      // With a request under way, that one tells.
      if (!this.#busy && !this.#announced) this.#book.broke(error.code === 'ECONNRESET' ? 'reset' : 'closed');
    });
    return client;
  }

  #fail(client: Client, error: Error): void {
    const failure = failureOf(error);
    if (failure === 'timeout' || failure === 'reset') this.#book.broke(failure);
    else {
      this.#book.unsent();
      if (!this.#refused) this.#book.broke('refused');
      this.#refused = true;
    }
    this.#client = undefined;
    client.destroy().catch(() => {});
  }
}
