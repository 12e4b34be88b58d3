/** What the long-lived connections of a measurement saw, all together; bounded however long it lasts. */

const INCIDENTS = ['reset', 'closed', 'timeout', 'refused', 'lost', 'repeated', 'reordered', 'garbled'] as const;
export type IncidentKind = (typeof INCIDENTS)[number];

export function noIncidents(): Record<IncidentKind, number> {
  return Object.fromEntries(INCIDENTS.map((kind) => [kind, 0])) as Record<IncidentKind, number>;
}

export interface Incident {
  /** Milliseconds of the measurement's clock; of a lost message, when it was sent. */
  atMs: number;
  kind: IncidentKind;
  /** Which connection, from 0. */
  connection: number;
}

/** A stretch of time in which a connection waited for an answer that was due, and none came. */
export interface Gap {
  fromMs: number;
  toMs: number;
}

export const BUCKET_MS = 100;
/** Two hours. */
const MOST_BUCKETS = 72_000;
const MOST_INCIDENTS = 50_000;
interface Bucket {
  answered: number;
  longest: Gap;
}

export class ConnectionLog {
  sent = 0;
  answered = 0;
  readonly counts = noIncidents();
  /** The first 50 000; `counts` has all. */
  readonly incidents: Incident[] = [];
  readonly #buckets = new Map<number, Bucket>();

  answer(gap: Gap): void {
    this.answered++;
    const bucket = this.#bucket(gap.toMs);
    bucket.answered++;
    if (gap.toMs - gap.fromMs > bucket.longest.toMs - bucket.longest.fromMs) bucket.longest = gap;
  }

  /** A gap that no answer ended. */
  silence(gap: Gap): void {
    const bucket = this.#bucket(gap.toMs);
    if (gap.toMs - gap.fromMs > bucket.longest.toMs - bucket.longest.fromMs) bucket.longest = gap;
  }

  incident(kind: IncidentKind, connection: number, atMs: number): void {
    this.counts[kind]++;
    if (this.incidents.length < MOST_INCIDENTS) this.incidents.push({ atMs, kind, connection });
  }

  /** By time; a bucket is `BUCKET_MS` long and holds what arrived in it. */
  *buckets(): Generator<{ fromMs: number; answered: number; longest: Gap }> {
    const indexes = [...this.#buckets.keys()].sort((a, b) => a - b);
    for (const index of indexes) {
      const bucket = this.#buckets.get(index);
      if (bucket !== undefined) yield { fromMs: index * BUCKET_MS, ...bucket };
    }
  }

  #bucket(atMs: number): Bucket {
    const index = Math.floor(atMs / BUCKET_MS);
    let bucket = this.#buckets.get(index);
    if (bucket === undefined) {
      bucket = { answered: 0, longest: { fromMs: atMs, toMs: atMs } };
      this.#buckets.set(index, bucket);
      const [oldest] = this.#buckets.keys();
      if (this.#buckets.size > MOST_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    }
    return bucket;
  }
}
