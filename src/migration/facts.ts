/** What a migration decides from: facts of the workload and of both hosts. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Finding } from './finding.ts';
import { preflight } from './preflight.ts';
import type { SourceMigration } from './source-migration.ts';
import { surveyWorkload } from './survey.ts';

export interface Facts {
  workload: WorkloadFacts;
  source: HostFacts;
  target: HostFacts;
}

/** Nothing is touched. */
export async function survey(m: SourceMigration): Promise<Facts> {
  const [workload, source, target] = await Promise.all([
    surveyWorkload(m.docker, m.run, m.workload, m.signal),
    m.hostFacts(m.signal),
    m.target.survey(),
  ]);
  m.claim(workload.id);
  return { workload, source, target };
}

/** @throws DrayageError MIGRATION_BLOCKED where a finding blocks. */
export function checkFindings(m: SourceMigration, { workload, source, target }: Facts): Finding[] {
  const findings = preflight(workload, source, target, m.options);
  m.emit({ type: 'findings', findings });
  const blocking = findings.filter((finding) => finding.severity === 'blocks');
  const [first, ...more] = blocking;
  if (first === undefined) return findings;
  const others = more.length === 0 ? '' : ` (and ${more.length} more findings that block)`;
  throw new DrayageError('MIGRATION_BLOCKED', `${first.message}${others}`, {
    meaning: first.meaning,
    remedy: first.remedy,
  });
}
