/**
 * The book of one long-lived connection: which numbers were sent, and which came back. Pure; the numbers go on over a
 * reconnection, so that an answer to an older connection's message is told from one to this one's.
 */
export type Answer = 'answered' | 'reordered' | 'repeated' | 'garbled';

export class Ledger {
  #next = 1;
  #highest = 0;
  /** Number to when it was sent, in order. */
  readonly #open = new Map<number, number>();

  /** Messages without an answer yet. */
  get open(): number {
    return this.#open.size;
  }

  /** Whether any is open that was sent after the newest one that was answered: on a stream, those before are gone. */
  get isAnswerDue(): boolean {
    return this.#open.size > 0 && this.#next - 1 > this.#highest;
  }

  /** The number of the next message. */
  send(atMs: number): number {
    this.#open.set(this.#next, atMs);
    return this.#next++;
  }

  /** What the arrival of a number means. It is reordered where a later one was answered before it. */
  answer(number: number): Answer {
    if (!Number.isSafeInteger(number) || number < 1 || number >= this.#next) return 'garbled';
    if (!this.#open.delete(number)) return 'repeated';
    if (number < this.#highest) return 'reordered';
    this.#highest = number;
    return 'answered';
  }

  /** Gives up what was sent before `beforeMs`, all by default. @returns when each lost message was sent. */
  forfeit(beforeMs = Number.POSITIVE_INFINITY): number[] {
    const lost: number[] = [];
    for (const [number, atMs] of this.#open) {
      if (atMs >= beforeMs) break;
      this.#open.delete(number);
      lost.push(atMs);
    }
    return lost;
  }
}
