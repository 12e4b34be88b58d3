/** Every request of a measurement in columns: 200 requests a second for two hours take 25 MB. */
import { FAILURES, type Failure } from './failure.ts';

export type RequestOutcome = 'ok' | Failure;

export interface RequestSample {
  /** When it was to be sent, in milliseconds of the measurement's clock. */
  atMs: number;
  /** From then until the whole answer was there, or until it had failed. */
  latencyMs: number;
  outcome: RequestOutcome;
  /** How much later than intended it was really sent: the load's own fault. */
  lagMs: number;
}

const OUTCOMES: readonly RequestOutcome[] = ['ok', ...FAILURES];
const MOST_SAMPLES = 1_500_000;

export class Samples implements Iterable<RequestSample> {
  readonly #most: number;
  #at = new Float64Array(1024);
  #latency = new Float32Array(1024);
  #lag = new Float32Array(1024);
  #outcome = new Uint8Array(1024);
  #added = 0;
  /** Of all that were added, those that are no longer kept included. */
  readonly counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<RequestOutcome, number>;

  /** @param most how many are kept: beyond it, the oldest go. */
  constructor(most = MOST_SAMPLES) {
    this.#most = most;
  }

  /** How many were added, those that are no longer kept included. */
  get added(): number {
    return this.#added;
  }

  add({ atMs, latencyMs, outcome, lagMs }: RequestSample): void {
    if (this.#added === this.#at.length && this.#at.length < this.#most) this.#grow();
    this.counts[outcome]++;
    const slot = this.#added++ % this.#at.length;
    this.#at[slot] = atMs;
    this.#latency[slot] = latencyMs;
    this.#lag[slot] = lagMs;
    this.#outcome[slot] = OUTCOMES.indexOf(outcome);
  }

  /** Those that are kept, in the order in which they ended. */
  *[Symbol.iterator](): Generator<RequestSample> {
    const kept = Math.min(this.#added, this.#at.length);
    for (let i = this.#added - kept; i < this.#added; i++) {
      const slot = i % this.#at.length;
      yield {
        atMs: this.#at[slot] as number,
        latencyMs: this.#latency[slot] as number,
        outcome: OUTCOMES[this.#outcome[slot] as number] as RequestOutcome,
        lagMs: this.#lag[slot] as number,
      };
    }
  }

  #grow(): void {
    const length = Math.min(this.#most, this.#at.length * 2);
    this.#at = enlarged(this.#at, new Float64Array(length));
    this.#latency = enlarged(this.#latency, new Float32Array(length));
    this.#lag = enlarged(this.#lag, new Float32Array(length));
    this.#outcome = enlarged(this.#outcome, new Uint8Array(length));
  }
}

function enlarged<T extends Float64Array | Float32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
