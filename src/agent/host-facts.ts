/** Facts of this host, for plan and preflight. */
import type { HostFacts } from '../engines/facts.ts';
import type { Run } from '../exec/run.ts';

export interface SurveyHostOptions {
  run: Run;
  signal: AbortSignal;
  /** From the engine's own survey; null where there is no engine or it cannot be reached. */
  docker?: HostFacts['docker'];
  /** Directory whose file system is to have room, e.g. Docker's data root. */
  dataRoot: string;
  /** Version of drayage itself. */
  drayage: string;
}

export async function surveyHost(_options: SurveyHostOptions): Promise<HostFacts> {
  throw new Error('not yet');
}
