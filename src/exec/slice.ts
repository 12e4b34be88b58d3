/** Long synchronous work that lets the event loop turn every few milliseconds. */
import { setImmediate as breathe } from 'node:timers/promises';

/** Other work of the process waits no longer than this. */
const SLICE_MS = 8;

/** A clock is read only every 256 steps. */
export class Slice {
  readonly #signal: AbortSignal | undefined;
  #count = 0;
  #until = performance.now() + SLICE_MS;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** To be asked at every step. */
  isOver(): boolean {
    return (++this.#count & 0xff) === 0 && performance.now() > this.#until;
  }

  async next(): Promise<void> {
    await breathe();
    this.#signal?.throwIfAborted();
    this.#until = performance.now() + SLICE_MS;
  }
}
