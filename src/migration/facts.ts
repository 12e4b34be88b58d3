/** What a migration decides from: facts of the workload and of both hosts. */
import { type AnyWorkload, type HostFacts, isTree, type WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Finding } from './finding.ts';
import { preflight } from './preflight.ts';
import type { SourceMigration } from './source-migration.ts';
import { surveyWorkload } from './survey.ts';
import type { TargetPort } from './target-port.ts';

export interface Facts {
  workload: AnyWorkload;
  source: HostFacts;
  target: HostFacts;
}

export type ContainerFacts = Facts & { workload: WorkloadFacts };

/** Nothing is touched. */
export async function survey(m: SourceMigration): Promise<Facts> {
  const [[workload, target], source] = await Promise.all([
    surveyPair(surveyWorkload(m.docker, m.run, m.workload, m.signal), m.target),
    m.hostFacts(m.signal),
  ]);
  m.claim(workload.id);
  return { workload, source, target };
}

/** The target is told what to look for, where that depends on the workload. */
export async function surveyPair(
  surveyed: Promise<AnyWorkload>,
  target: Pick<TargetPort, 'survey' | 'surveyTree'>,
): Promise<[AnyWorkload, HostFacts]> {
  const plain = target.survey();
  plain.catch(() => {}); // The other may fail first, and be told.
  const workload = await surveyed;
  const facts = await plain;
  if (!isTree(workload)) return [workload, facts];
  const { files, taskIds, terminals } = workload;
  const tree = { files, taskIds, terminal: terminals.length > 0 };
  return [workload, { ...facts, tree: await target.surveyTree(tree) }];
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
