/** One move of the workload, on the measurement's clock; from the events of a migration, or from any other tool. */
import type { MigrationEvent, MigrationResult } from '../migration/events.ts';

export interface Stretch {
  fromMs: number;
  toMs: number;
}

export interface PhaseStretch extends Stretch {
  name: string;
}

export interface Move extends Stretch {
  /** Hosts. */
  source: string;
  target: string;
  outcome: MigrationResult['outcome'];
  /** As the mover itself tells. */
  outageMs: number | null;
  /** Between these the workload stood still; null where that is not known. */
  frozen: Stretch | null;
  phases: PhaseStretch[];
  /** Of the migration; absent for another tool's move. */
  id?: string;
}

/** An event, and when it came, on the measurement's clock. */
export interface Arrival {
  event: MigrationEvent;
  atMs: number;
}

/**
 * Pure: the events' own times are of the source's clock; what came soonest after it was told shows how far that clock
 * is off, to within the way from there to here.
 */
export function moveOf(arrivals: readonly Arrival[]): Move | null {
  const offset = Math.min(...arrivals.map(({ event, atMs }) => atMs - event.time));
  const started = arrivals.map(({ event }) => event).find((event) => event.type === 'started');
  const result = arrivals.map(({ event }) => event).find((event) => event.type === 'result');
  if (started === undefined || result === undefined) return null;
  const fromMs = started.time + offset;
  const phases = arrivals.flatMap(({ event }): PhaseStretch[] => {
    if (event.type !== 'span' || event.span.kind !== 'phase') return [];
    const { name, startMs, ms } = event.span;
    return [{ name, fromMs: fromMs + startMs, toMs: fromMs + startMs + ms }];
  });
  phases.sort((a, b) => a.fromMs - b.fromMs);
  const { outcome, outageMs, id, totalMs } = result;
  return {
    id,
    source: started.source,
    target: started.target,
    outcome,
    outageMs,
    fromMs,
    toMs: fromMs + totalMs,
    phases,
    frozen: frozenOf(phases, outageMs),
  };
}

/** Counted back from the end of the commit, which is when the workload ran again. */
function frozenOf(phases: readonly PhaseStretch[], outageMs: number | null): Stretch | null {
  const [freeze, commit] = [['freeze', 'stop'], ['commit']].map((names) =>
    phases.find(({ name }) => names.includes(name)),
  );
  if (outageMs === null || freeze === undefined) return null;
  const fromMs = commit === undefined ? freeze.fromMs : commit.toMs - outageMs;
  return { fromMs, toMs: fromMs + outageMs };
}
