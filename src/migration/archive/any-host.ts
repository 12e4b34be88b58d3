import { RUNTIME } from '../../engines/docker/clone.ts';
import type { HostFacts, TreeQuestion, TreeSurroundings } from '../../engines/facts.ts';

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

/** Pure: what a host that is not known has of a tree of processes, and in its way. */
export function nothingOf({ files }: Pick<TreeQuestion, 'files'>): TreeSurroundings {
  return {
    files: files.map(() => 'missing'),
    ...{ takenPids: [], missingPrograms: [], relayed: [], limitable: ['memoryBytes', 'cpus', 'tasks'] },
  };
}
