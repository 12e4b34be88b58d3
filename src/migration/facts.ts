/** What a migration decides from: facts of the workload and of both hosts. */
import { type AnyWorkload, type HostFacts, isTree, type WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import type { MigrateOptions } from './events.ts';
import { type Exploration, explore } from './explore.ts';
import type { SourceMigration } from './source-migration.ts';
import { type Decision, decide } from './strategy.ts';
import { surveyWorkload } from './survey.ts';
import type { TargetPort } from './target-port.ts';
import { tellRestart } from './tell-restart.ts';

export interface Facts {
  workload: AnyWorkload;
  source: HostFacts;
  target: HostFacts;
  exploration?: Exploration;
}

export type ContainerFacts = Facts & { workload: WorkloadFacts };

/** Nothing is touched. */
export async function survey(m: SourceMigration): Promise<Facts> {
  const facts = await gather({ ...m, workload: m.workload, signal: m.signal });
  m.claim(facts.workload.id);
  return facts;
}

export interface Gathering {
  docker: Docker;
  run: Run;
  signal: AbortSignal;
  /** As the user named it. */
  workload: string;
  options: MigrateOptions;
  target: TargetPort;
  /** Facts of this host. */
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  /** One trial of this host's after another. */
  exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

/** From both hosts; nothing that is tried leaves anything behind. */
export async function gather(gathering: Gathering): Promise<Facts> {
  const { docker, run, signal, workload: name, options, target: port, hostFacts } = gathering;
  const [[workload, target], source] = await Promise.all([
    surveyPair(surveyWorkload(docker, run, name, signal), port),
    hostFacts(signal),
  ]);
  if (isTree(workload)) return { workload, source, target };
  const surveyed = { workload, source, target };
  return { ...surveyed, exploration: await explore({ ...gathering, target: port }, surveyed, options) };
}

/** The target is told what to look for, where that depends on the workload. */
async function surveyPair(
  surveyed: Promise<AnyWorkload>,
  target: Pick<TargetPort, 'survey' | 'surveyTree'>,
): Promise<[AnyWorkload, HostFacts]> {
  const plain = target.survey();
  plain.catch(() => {}); // The other may fail first, and be told.
  const workload = await surveyed;
  return [workload, await withTree(await plain, workload, target)];
}

/** Facts of a target for a workload that is known already. */
export async function surveyTarget(
  workload: AnyWorkload,
  target: Pick<TargetPort, 'survey' | 'surveyTree'>,
): Promise<HostFacts> {
  return withTree(await target.survey(), workload, target);
}

async function withTree(
  facts: HostFacts,
  workload: AnyWorkload,
  target: Pick<TargetPort, 'surveyTree'>,
): Promise<HostFacts> {
  if (!isTree(workload)) return facts;
  const { ref, files, taskIds, terminals, listening } = workload;
  const question = { workload: `process:${ref.name}`, files, taskIds, terminal: terminals.length > 0, listening };
  return { ...facts, tree: await target.surveyTree(question) };
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
