/** Pure: everything that speaks against a move, or that the user should know beforehand, from the facts alone. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import type { MigrateOptions } from './events.ts';
import type { Finding } from './finding.ts';

/** All findings at once, those that block first. */
export function preflight(
  _workload: WorkloadFacts,
  _source: HostFacts,
  _target: HostFacts,
  _options: MigrateOptions,
): Finding[] {
  return [];
}

/** What hinders a live move as far as the source alone can tell: short sentences, for `drayage ps`. */
export function sourceHindrances(_workload: WorkloadFacts, _source: HostFacts): string[] {
  return [];
}
