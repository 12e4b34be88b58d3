/**
 * One long-lived TCP connection with numbered messages both ways: the client sends `N\n` whenever it is time to, waiting
 * for nothing, and the server answers each line with the same line.
 */
import { connect, type Socket } from 'node:net';
import { failureOf } from './failure.ts';
import { Book, type BookOptions, type LongLived } from './long-lived.ts';
import type { TcpTarget } from './target.ts';

/** No answer is longer: a server that sends no line feeds must not fill the memory. */
const LONGEST_LINE = 64;
const RECONNECT_MS = 20;

export class TcpConnection implements LongLived {
  readonly #book: Book;
  readonly #target: TcpTarget;
  #socket: Socket;
  #isConnected = false;
  /** From the first connection on; until then, nothing is owed. */
  #hasBegun = false;
  #ended = false;
  /** Only the first of several tries to reconnect is counted. */
  #refused = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(target: TcpTarget, options: BookOptions) {
    this.#target = target;
    this.#book = new Book(options);
    this.#socket = this.#connect();
  }

  get open(): number {
    return this.#book.open;
  }

  due(atMs: number): void {
    if (this.#ended) return;
    if (this.#book.overdue) this.#break(this.#socket, 'timeout');
    if (this.#hasBegun) this.#book.owed(atMs);
    if (this.#isConnected) this.#socket.write(`${this.#book.send(atMs)}\n`);
  }

  end(countLost: boolean): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#book.end(countLost);
    this.#socket.destroy();
  }

  #connect(): Socket {
    const { address: host, port } = this.#target;
    const socket = connect({ host, port, noDelay: true });
    let rest = '';
    socket.once('connect', () => {
      this.#isConnected = true;
      this.#hasBegun = true;
      this.#refused = false;
    });
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const line of lines) this.#book.receive(/^\d{1,15}$/.test(line) ? Number(line) : Number.NaN);
    });
    socket.once('error', (error) => this.#break(socket, failureOf(error)));
    socket.once('end', () => this.#break(socket, 'closed'));
    return socket;
  }

  #break(socket: Socket, why: 'closed' | ReturnType<typeof failureOf>): void {
    if (this.#ended) return;
    socket.removeAllListeners().on('error', () => {});
    socket.destroy();
    const kind = why === 'closed' || why === 'timeout' ? why : 'reset';
    if (this.#isConnected) this.#book.broke(kind);
    else if (!this.#refused) {
      this.#refused = true;
      this.#book.broke('refused');
    }
    this.#isConnected = false;
    this.#book.connecting();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#socket = this.#connect();
    }, RECONNECT_MS);
  }
}
