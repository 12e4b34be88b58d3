/** Everything that plan and preflight need to know of one Docker container; nothing is touched. */
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { DrayageError } from '../../errors.ts';
import { type Docker, isNotFound } from '../../tools/docker.ts';
import type { ContainerInspect, NetworkInspect, SystemInfo, VolumeInspect } from '../../tools/docker-types.ts';
import type { FileTree, WorkloadFacts, WorkloadSummary } from '../facts.ts';
import { findContainer, nameOf } from './find.ts';
import { volumeUsers } from './kept-copy.ts';
import { measureTree } from './measure-tree.ts';
import { freezerPath, parseMountinfo, upperDirOfRoot } from './mountinfo.ts';
import { PREDEFINED_NETWORKS } from './predefined-networks.ts';

export interface SurveyDockerOptions {
  signal?: AbortSignal;
  /** Where the host's root directory is seen, default its own; `/proc/<pid>/root` looks into a lab host from outside. */
  root?: string;
}

export type DockerFacts = Omit<WorkloadFacts, 'processes' | 'memoryBytes'>;

/**
 * Facts of the container of that name or unique beginning of an id.
 * @throws DrayageError WORKLOAD_UNKNOWN, WORKLOAD_AMBIGUOUS and those of Docker
 */
export async function surveyDocker(
  docker: Docker,
  name: string,
  { signal, root = '' }: SurveyDockerOptions = {},
): Promise<DockerFacts> {
  const containers = await docker.containers({ signal });
  const found = findContainer(containers, name);
  const [inspect, info] = await Promise.all([docker.inspect(found.Id, { signal }), docker.info({ signal })]);
  const [image, networks, volumes] = await Promise.all([
    imageFacts(docker, inspect, signal),
    networksOf(docker, inspect, signal),
    volumesOf(docker, inspect, signal),
  ]);
  const pid = inspect.State.Pid;
  const runtime = foreignRuntime(inspect, info);
  return {
    ref: { engine: 'docker', name: inspect.Name.slice(1) },
    id: inspect.Id,
    state: inspect.State.Status === 'removing' ? 'dead' : inspect.State.Status,
    pid,
    inspect,
    networks,
    volumes,
    volumeUsers: volumeUsers(Object.keys(volumes), containers, found.Id),
    image,
    files: await filesOf(inspect, volumes, root, signal),
    cgroupPath: pid === 0 ? '' : await cgroupOf(pid, root),
    runtimeRoot: runtimeRoot(inspect),
    ...(runtime === undefined ? {} : { foreignRuntime: runtime }),
  };
}

/** All containers of the engine, stopped ones too. */
export async function listDocker(docker: Docker, options: { signal?: AbortSignal } = {}): Promise<WorkloadSummary[]> {
  const containers = await docker.containers(options);
  return containers.map((container) => ({
    ref: { engine: 'docker', name: nameOf(container) },
    id: container.Id,
    state: container.State,
    image: container.Image,
    hindrances: container.State === 'running' ? [] : ['is not running'],
  }));
}

/**
 * `--root` of runc. Since Docker 24 at the latest it is `runtime-runc` for every runtime that is given by a path
 * (moby daemon/runtime_unix.go, defaultV2ShimConfig), below the daemon's exec-root, which only shows in the path of
 * the sandbox.
 */
export function runtimeRoot(inspect: ContainerInspect): string {
  const sandbox = inspect.NetworkSettings.SandboxKey;
  const execRoot = typeof sandbox === 'string' && sandbox !== '' ? dirname(dirname(sandbox)) : '/run/docker';
  return `${execRoot.replace(/^\/var\/run\//, '/run/')}/runtime-runc/moby`;
}

/** The runtime where it is neither runc nor drayage's own in front of runc; others keep their state elsewhere. */
export function foreignRuntime(inspect: ContainerInspect, info: SystemInfo): string | undefined {
  const name = inspect.HostConfig.Runtime ?? 'runc';
  const runtime = info.Runtimes[name];
  const path = runtime?.path ?? runtime?.runtimeType ?? name;
  return ['runc', 'drayage-runc'].includes(basename(path)) ? undefined : path;
}

async function imageFacts(
  docker: Docker,
  inspect: ContainerInspect,
  signal: AbortSignal | undefined,
): Promise<WorkloadFacts['image']> {
  const known = { id: inspect.Image, reference: inspect.Config.Image ?? inspect.Image };
  try {
    const image = await docker.inspectImage(inspect.Image, { signal });
    return { ...known, tags: image.RepoTags ?? [], layers: image.RootFS.Layers ?? [], bytes: image.Size };
  } catch (error) {
    // `docker rmi --force` takes the image from under a running container: it has no layers then, as far as one sees.
    if (isNotFound(error)) return { ...known, tags: [], layers: [], bytes: 0 };
    throw error;
  }
}

async function networksOf(
  docker: Docker,
  inspect: ContainerInspect,
  signal: AbortSignal | undefined,
): Promise<Record<string, NetworkInspect>> {
  const endpoints = Object.entries(inspect.NetworkSettings.Networks).filter(
    ([name]) => !PREDEFINED_NETWORKS.includes(name),
  );
  // By id, because several networks may have one name; a container that never ran has none yet.
  const networks = endpoints.map(([name, { NetworkID }]) => docker.inspectNetwork(NetworkID || name, { signal }));
  return Object.fromEntries((await Promise.all(networks)).map((network) => [network.Name, network]));
}

async function volumesOf(
  docker: Docker,
  inspect: ContainerInspect,
  signal: AbortSignal | undefined,
): Promise<Record<string, VolumeInspect>> {
  const names = new Set(inspect.Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name ? [Name] : [])));
  const volumes = [...names].map((name) => docker.inspectVolume(name, { signal }));
  return Object.fromEntries((await Promise.all(volumes)).map((volume) => [volume.Name, volume]));
}

async function filesOf(
  inspect: ContainerInspect,
  volumes: Record<string, VolumeInspect>,
  root: string,
  signal: AbortSignal | undefined,
): Promise<FileTree[]> {
  const trees: Pick<FileTree, 'key' | 'kind' | 'path'>[] = [];
  const upper = await upperDir(inspect, root);
  if (upper !== undefined) trees.push({ key: 'upper', kind: 'upper', path: upper });
  for (const volume of Object.values(volumes)) {
    if (isPlain(volume)) trees.push({ key: `volume:${volume.Name}`, kind: 'volume', path: volume.Mountpoint });
  }
  for (const { Type, Destination, Source } of inspect.Mounts) {
    if (Type === 'bind') trees.push({ key: `bind:${Destination}`, kind: 'bind', path: Source });
  }
  const measured: FileTree[] = [];
  for (const tree of trees) measured.push({ ...tree, ...(await measureTree(root + tree.path, signal)) });
  return measured;
}

/** A volume whose files lie in its directory; one with options is a mount of something else: nfs, a device, a bind. */
function isPlain(volume: VolumeInspect): boolean {
  return volume.Driver === 'local' && Object.keys(volume.Options ?? {}).length === 0;
}

/** With the containerd image store inspect does not tell; for a running container the kernel always does. */
async function upperDir(inspect: ContainerInspect, root: string): Promise<string | undefined> {
  const told = inspect.GraphDriver?.Data?.UpperDir;
  if (told !== undefined || inspect.State.Pid === 0) return told;
  return upperDirOfRoot(parseMountinfo(await ofProcess(`${root}/proc/${inspect.State.Pid}/mountinfo`)));
}

async function cgroupOf(pid: number, root: string): Promise<string> {
  const [cgroups, mounts] = await Promise.all([
    ofProcess(`${root}/proc/${pid}/cgroup`),
    // Seen from outside, `self` is nobody.
    readFile(`${root}/proc/${root === '' ? 'self' : '1'}/mountinfo`, 'utf8'),
  ]);
  return freezerPath(cgroups, parseMountinfo(mounts)) ?? '';
}

async function ofProcess(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new DrayageError('WORKLOAD_UNKNOWN', 'The container ended while it was looked at.', { cause });
  });
}
