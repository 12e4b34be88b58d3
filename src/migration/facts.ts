/** What a migration decides from: facts of the workload and of both hosts. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import type { MigrateOptions } from './events.ts';
import { type Exploration, explore } from './explore.ts';
import type { Finding } from './finding.ts';
import { preflight } from './preflight.ts';
import type { SourceMigration } from './source-migration.ts';
import { surveyWorkload } from './survey.ts';
import type { TargetPort } from './target-port.ts';

export interface Facts {
  workload: WorkloadFacts;
  source: HostFacts;
  target: HostFacts;
  exploration?: Exploration;
}

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
  const [workload, source, target] = await Promise.all([
    surveyWorkload(docker, run, name, signal),
    hostFacts(signal),
    port.survey(),
  ]);
  const surveyed = { workload, source, target };
  return { ...surveyed, exploration: await explore({ ...gathering, target: port }, surveyed, options) };
}

/** @throws DrayageError MIGRATION_BLOCKED where a finding blocks. */
export function checkFindings(m: SourceMigration, facts: Facts): Finding[] {
  const findings = preflight(facts, m.options);
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
