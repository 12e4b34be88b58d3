/** What `drayage ps` lists: workloads of this host, and what hinders each. */
import { listDocker } from '../engines/docker/survey.ts';
import type { HostFacts, WorkloadSummary } from '../engines/facts.ts';
import { listTrees, surveyTree } from '../engines/process/survey.ts';
import { concurrently } from '../engines/processes/concurrently.ts';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { sourceHindrances } from '../migration/preflight.ts';
import { surveyWorkload } from '../migration/survey.ts';
import type { Docker } from '../tools/docker.ts';

const AT_ONCE = 4;

export async function listContainers(
  docker: Docker,
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>,
  signal: AbortSignal,
): Promise<WorkloadSummary[]> {
  const [workloads, host] = await Promise.all([listDocker(docker, { signal }), hostFacts(signal)]);
  const run = runner({ signal });
  return Promise.all(
    workloads.map(async (summary) => {
      if (summary.state !== 'running') return summary;
      try {
        const facts = await surveyWorkload(docker, run, summary.id, signal);
        return { ...summary, hindrances: sourceHindrances(facts, host) };
      } catch (error) {
        // One that ends meanwhile, or that its engine is wrong about, hides no other.
        return { ...summary, hindrances: [DrayageError.from(error).message] };
      }
    }),
  );
}

/** Trees of processes that no engine keeps; the command stands in the place of the image. */
export async function listProcessTrees(
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>,
  signal: AbortSignal,
): Promise<WorkloadSummary[]> {
  const [pids, host] = await Promise.all([listTrees(signal), hostFacts(signal)]);
  const run = runner({ signal });
  const found = await concurrently(pids, AT_ONCE, signal, async (pid): Promise<WorkloadSummary | undefined> => {
    const facts = await surveyTree(`${pid}`, run, signal, { digests: false }).catch(() => undefined);
    if (facts === undefined) return undefined; // It has ended meanwhile, or the agent is in it.
    const { ref, id, program, command } = facts;
    return { ref, id, image: command || program, state: 'running', hindrances: sourceHindrances(facts, host) };
  });
  return found.filter((one) => one !== undefined);
}
