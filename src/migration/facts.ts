/** What a migration decides from: facts of the workload and of both hosts. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { SourceMigration } from './source-migration.ts';
import { type Decision, decide } from './strategy.ts';
import { surveyWorkload } from './survey.ts';
import { tellRestart } from './tell-restart.ts';

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

/** How it is to move. @throws DrayageError MIGRATION_BLOCKED where a finding blocks. */
export function checkFindings(m: SourceMigration, facts: Facts): Decision['strategy'] {
  const { strategy, findings, plan, restart } = decide(facts, m.options);
  m.emit({ type: 'findings', findings });
  const blocking = findings.filter((finding) => finding.severity === 'blocks');
  const [first, ...more] = blocking;
  if (first === undefined) {
    if (plan.restart !== undefined) m.emit({ type: 'note', message: `by restart: ${tellRestart(plan)}` });
    return strategy;
  }
  const others = more.length === 0 ? '' : ` (and ${more.length} more findings that block)`;
  throw new DrayageError('MIGRATION_BLOCKED', `${first.message}${others}`, {
    meaning: first.meaning,
    remedy: restart === undefined ? first.remedy : `${first.remedy} Or move it by restart: --allow-restart.`,
  });
}
