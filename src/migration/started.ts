import { join } from 'node:path';
import { z } from 'zod';
import type { ProcessTreeFacts, WorkloadFacts } from '../engines/facts.ts';
import type { OwnCgroup } from '../engines/process/own-cgroup.ts';
import type { ContainerInspect, RestartPolicy } from '../tools/docker-types.ts';
import { STAGE_DIR } from './stage.ts';

/** What recovery after a crash needs to know; in the journal before anything is touched. */
export const startedSchema = z.object({
  containerId: z.string(),
  name: z.string(),
  cgroupPath: z.string(),
  restartPolicy: z.object({ Name: z.string(), MaximumRetryCount: z.number().exactOptional() }),
  stage: z.string(),
  /** Named volumes that were carried. */
  volumes: z.array(z.string()),
  /** Of a tree of processes: the cgroups, by pid, that its processes were in before. */
  homes: z.record(z.string(), z.string()).exactOptional(),
  /** Likewise: cgroups that were made for its limits when it came here, and go with it. */
  limited: z.array(z.string()).exactOptional(),
  /** Likewise: files that they write, which go on elsewhere. */
  written: z.array(z.string()).exactOptional(),
  /** Moved by restart, and whether it ran: then an undo starts it again. Milliseconds that it has to stop. */
  restart: z.object({ running: z.boolean(), stopMs: z.number() }).exactOptional(),
});
export type StartedData = z.infer<typeof startedSchema>;

export function startedTree(
  id: string,
  { ref, id: processId, files }: ProcessTreeFacts,
  cgroup: OwnCgroup,
): StartedData {
  return {
    ...{ containerId: processId, name: ref.name, cgroupPath: cgroup.path, homes: cgroup.homes, volumes: [] },
    limited: cgroup.limited,
    written: files.flatMap(({ path, isWritten }) => (isWritten ? [path] : [])),
    ...{ restartPolicy: { Name: 'no' }, stage: join(STAGE_DIR, `${id}.source`) },
  };
}

/** @param restart where it is to be moved so */
export function startedData(id: string, workload: WorkloadFacts, restart?: StartedData['restart']): StartedData {
  return {
    containerId: workload.id,
    name: workload.ref.name,
    cgroupPath: workload.cgroupPath,
    restartPolicy: restartPolicyOf(workload),
    stage: join(STAGE_DIR, `${id}.source`),
    volumes: Object.keys(workload.volumes),
    ...(restart && { restart }),
  };
}

function restartPolicyOf(workload: WorkloadFacts): RestartPolicy {
  return (workload.inspect as ContainerInspect).HostConfig.RestartPolicy ?? { Name: 'no' };
}
