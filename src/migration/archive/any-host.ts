import { RUNTIME } from '../../engines/docker/clone.ts';
import { type AnyWorkload, type HostFacts, isTree, type WorkloadFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';

/**
 * Pure: the host that an archive is made for, of which nothing is known: like this one, with nothing on it and room for
 * everything. What stands against that, stands against any.
 * @param image that it is to have, so that it need not go into the archive
 */
export function anyHost(source: HostFacts, image: { id: string; tags: string[] } | undefined): HostFacts {
  const host = withoutOthers(source);
  const docker = host.docker && {
    ...host.docker,
    runtimes: [...new Set([...host.docker.runtimes, RUNTIME])],
    images: image === undefined ? [] : [image],
  };
  return { ...host, docker, memoryAvailable: Number.MAX_SAFE_INTEGER, diskAvailable: Number.MAX_SAFE_INTEGER };
}

/** Pure: what an archive tells of the host where it was made: nothing of its other containers and networks. */
export function withoutOthers(host: HostFacts): HostFacts {
  const traffic = host.traffic && { traffic: { ...host.traffic, forwards: [] } };
  return { ...host, docker: host.docker && { ...host.docker, ...NOTHING }, ...traffic, listening: [], subnets: [] };
}

const NOTHING = { names: [], layers: [], images: [], networks: [], volumes: [], keptVolumes: [], published: [] };

/** @throws DrayageError MIGRATION_BLOCKED for what has no archive yet */
export function assertContainer(workload: AnyWorkload): asserts workload is WorkloadFacts {
  if (!isTree(workload)) return;
  throw new DrayageError('MIGRATION_BLOCKED', `process ${workload.pid} (${workload.program}) is in no container.`, {
    meaning: 'Archives hold containers so far. Nothing has been touched.',
    remedy: 'Move it with drayage migrate, to a host that can be reached; or run the program in a container.',
  });
}
