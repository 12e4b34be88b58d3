/**
 * What every long-lived connection does, whatever it speaks: counts what it sent and got, and how long it waited. When
 * the connection breaks, all that has no answer is lost, and a new one is made.
 */
import type { Clock } from './clock.ts';
import type { ConnectionLog, IncidentKind } from './connection-log.ts';
import { Ledger } from './ledger.ts';

export interface LongLived {
  /** Time to send a message. */
  due(atMs: number): void;
  /** Messages whose answer may still come. */
  readonly open: number;
  /** Nothing more is sent or awaited; what has no answer is lost if `countLost`. */
  end(countLost: boolean): void;
}

export interface BookOptions {
  index: number;
  clock: Clock;
  log: ConnectionLog;
  deadlineMs: number;
}

export class Book {
  readonly #options: BookOptions;
  readonly #ledger = new Ledger();
  /** Since when an answer is due; undefined while none is. */
  #waitingSince: number | undefined;
  /** When the present connection, or the try to make one, began. */
  #connectedAt: number;

  constructor(options: BookOptions) {
    this.#options = options;
    this.#connectedAt = options.clock.now();
  }

  /** Messages that are worth waiting for. */
  get open(): number {
    return this.#ledger.isAnswerDue ? this.#ledger.open : 0;
  }

  /** Nothing came over this connection for as long as a message may take. */
  get overdue(): boolean {
    const { clock, deadlineMs } = this.#options;
    if (this.#waitingSince === undefined) return false;
    return clock.now() - Math.max(this.#waitingSince, this.#connectedAt) > deadlineMs;
  }

  /** A new connection is being made. */
  connecting(): void {
    this.#connectedAt = this.#options.clock.now();
  }

  /** A message was to be sent, whether or not there is a connection. */
  owed(atMs: number): void {
    this.#waitingSince ??= atMs;
  }

  /** The number of the message that is sent now. */
  send(atMs: number): number {
    this.#options.log.sent++;
    return this.#ledger.send(atMs);
  }

  receive(number: number): void {
    const { clock, log, index, deadlineMs } = this.#options;
    const now = clock.now();
    const answer = this.#ledger.answer(number);
    if (answer !== 'answered') log.incident(answer, index, now);
    if (answer === 'repeated' || answer === 'garbled') return;
    log.answer({ fromMs: this.#waitingSince ?? now, toMs: now });
    this.#lose(now - deadlineMs);
    this.#waitingSince = this.#ledger.isAnswerDue ? now : undefined;
  }

  /** The connection is gone, and with it all that was under way. */
  broke(kind: IncidentKind): void {
    const { clock, log, index } = this.#options;
    log.incident(kind, index, clock.now());
    this.#lose();
  }

  /** What was under way never left this host. */
  unsent(): void {
    this.#options.log.sent -= this.#ledger.forfeit().length;
  }

  end(countLost: boolean): void {
    const { clock, log } = this.#options;
    if (this.#waitingSince !== undefined) log.silence({ fromMs: this.#waitingSince, toMs: clock.now() });
    this.#waitingSince = undefined;
    if (countLost) this.#lose();
  }

  #lose(beforeMs?: number): void {
    for (const atMs of this.#ledger.forfeit(beforeMs)) {
      this.#options.log.incident('lost', this.#options.index, atMs);
    }
  }
}
