/** Survey of a workload's processes: what they hold that CRIU cannot dump, and how much memory a dump will be. */
import type { Run } from '../exec/run.ts';
import type { ProcessFacts } from './facts.ts';

export interface SurveyProcessesOptions {
  run: Run;
  signal: AbortSignal;
  /** Where procfs is mounted; default `/proc`. */
  proc?: string;
}

export interface ProcessesFacts {
  processes: ProcessFacts[];
  /** Resident anonymous and shared memory, swap and tmpfs content that a dump will hold, in bytes. */
  memoryBytes: number;
}

/**
 * @param tasks host pids, the init process first; or the absolute path of the workload's cgroup directory, of which
 *   every process counts, those of nested cgroups included.
 */
export async function surveyProcesses(
  _tasks: readonly number[] | string,
  _options: SurveyProcessesOptions,
): Promise<ProcessesFacts> {
  return { processes: [], memoryBytes: 0 };
}
