/** The copy of a container, as Docker makes it on the target. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { DrayageError } from '../../errors.ts';
import type { Run } from '../../exec/run.ts';
import { LogCopy } from '../../files/log-copy.ts';
import type { Docker } from '../../tools/docker.ts';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import { bridgeOf, type Neighbour, neighboursOf } from '../../traffic/workload.ts';
import type { Acquire, CopyMaker, MadeCopy, RestoreStart, StartedRestore, TreeRoot } from '../engine.ts';
import { criuPathOf, type FileTree, type HostFacts, type WorkloadFacts } from '../facts.ts';
import { cloneSpec } from './clone.ts';
import { createCopy } from './create-copy.ts';
import { placeGuard } from './guard.ts';
import { planImage } from './image-plan.ts';
import { receiveImage } from './images.ts';
import { logFileOf } from './log-file.ts';
import { Rendezvous } from './rendezvous.ts';
import { forgetStaleEndpoints } from './stale-endpoints.ts';

const INSPECT_MS = 2000;

export interface ContainerCopyOptions {
  /** Of the migration. */
  id: string;
  workload: WorkloadFacts;
  options: Parameters<typeof cloneSpec>[2];
  /** Those of its trees of files that are carried. */
  trees: readonly FileTree[];
  host: HostFacts;
  docker: Docker;
  run: Run;
  /** Notes how long something took. */
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>;
  acquire: Acquire;
  /** Called when its networks are there, and before the copy is. */
  networked: () => Promise<void>;
}

interface Copy {
  containerId: string;
  /** Where each tree goes: raw before the start, through the mounted root file system after it. */
  roots: Map<string, TreeRoot>;
  /** Undefined where the log driver keeps the log elsewhere. */
  log: LogCopy | undefined;
  bridges: Map<string, string>;
  neighbours: (Neighbour & { bridge: string })[];
}

export class ContainerCopy implements CopyMaker {
  readonly #o: ContainerCopyOptions;
  #copy: Copy | undefined;
  #started: Promise<void> | undefined;

  constructor(options: ContainerCopyOptions) {
    this.#o = options;
  }

  get key(): string {
    return this.#created().containerId;
  }

  get bridges(): ReadonlyMap<string, string> {
    return this.#created().bridges;
  }

  get neighbours(): readonly (Neighbour & { bridge: string })[] {
    return this.#created().neighbours;
  }

  async create(): Promise<MadeCopy> {
    const { id, workload, host, options, docker, acquire, trees, networked } = this.#o;
    const spec = cloneSpec(workload, host, options);
    for (const body of spec.networks) {
      await acquire({ kind: 'network', name: body.Name });
      await docker.createNetwork(body);
    }
    await networked();
    for (const body of spec.volumes) {
      await acquire({ kind: 'volume', name: body.Name });
      await docker.createVolume(body);
    }
    for (const { path, carried } of spec.bindSources) if (carried) await this.#makeBindSource(path);
    const temporaryName = `drayage-${id}`;
    const { restartPolicy } = spec;
    await acquire({ kind: 'container', temporaryName, restartPolicy });
    const { id: containerId, readdressed } = await createCopy(docker, temporaryName, spec);
    await acquire({ kind: 'container', temporaryName, restartPolicy, id: containerId });
    await acquire({ kind: 'guard', containerId });
    await placeGuard(containerId, id);
    const inspect = await docker.inspect(containerId);
    const names = Object.keys(inspect.NetworkSettings.Networks);
    const networks = await Promise.all(names.map((name) => docker.inspectNetwork(name)));
    await forgetStaleEndpoints(docker, networks, workload.ref.name);
    await docker.rename(containerId, workload.ref.name);
    const layer = inspect.GraphDriver?.Data;
    if (layer?.UpperDir === undefined || layer.MergedDir === undefined) {
      throw new DrayageError(
        'TARGET_STORAGE',
        `The target's engine does not tell where ${workload.ref.name} keeps its files.`,
      );
    }
    const roots = new Map([['upper', { first: layer.UpperDir, final: layer.MergedDir }]]);
    for (const tree of trees) roots.set(tree.key, roots.get(tree.key) ?? (await this.#rootOf(tree)));
    const file = logFileOf(inspect, host.docker?.dataRoot ?? '/var/lib/docker');
    const log = file === undefined ? undefined : new LogCopy(file);
    this.#copy = {
      ...{ containerId, roots, log },
      bridges: new Map(networks.map((network) => [network.Name, bridgeOf(network) ?? ''])),
      neighbours: networks.flatMap((network) => {
        const others = neighboursOf((other) => other === containerId, network);
        return others.map((one) => ({ ...one, bridge: bridgeOf(network) ?? '' }));
      }),
    };
    return { id: containerId, notes: readdressed.map(noteReaddressed) };
  }

  root(key: string): TreeRoot | undefined {
    return this.#created().roots.get(key);
  }

  async receive(purpose: 'image' | 'logs', stream: Duplex, signal: AbortSignal): Promise<void> {
    const { workload, host, docker, step, acquire } = this.#o;
    if (purpose === 'logs') {
      await this.#created().log?.receive(stream, { signal });
      return;
    }
    const image = planImage(workload.image, host);
    await acquire({ kind: 'image', id: image.id, tags: image.tags });
    await step('docker load', () => receiveImage(docker, stream, image, { signal }));
    stream.end();
  }

  async start({ imagesDir, descriptors, criuOptions, rules }: RestoreStart): Promise<StartedRestore> {
    const { host, docker, run, acquire } = this.#o;
    const { containerId } = this.#created();
    await writeFile(join(imagesDir, 'descriptors.json'), JSON.stringify(descriptors), { mode: 0o600 });
    await acquire({ kind: 'rendezvous', containerId });
    const criuPath = criuPathOf(host);
    const rendezvous = await Rendezvous.open({
      ...{ containerId, imagesDir, criuPath, criuOptions, run },
      ...(rules !== undefined && { rules }),
    });
    this.#started = docker.start(containerId);
    this.#started.catch(() => {});
    return { rendezvous, started: this.#started };
  }

  /** Trees went to their places as they came. */
  async complete(): Promise<void> {}

  /** It says so some milliseconds after the tasks run. */
  async isKept(): Promise<boolean> {
    const signal = AbortSignal.timeout(INSPECT_MS);
    const { State: state } = await this.#o.docker
      .inspect(this.#created().containerId, { signal })
      .catch(() => ({ State: undefined }));
    return state?.Running === true;
  }

  async ending(): Promise<string | undefined> {
    const { State: state } = await this.#o.docker
      .inspect(this.#created().containerId)
      .catch(() => ({ State: undefined }));
    return state?.Running === false ? `with exit status ${state.ExitCode}` : undefined;
  }

  /** Where a tree goes. The peer names only what is the workload's own; everything else on this host is none of it. */
  async #rootOf(tree: FileTree): Promise<TreeRoot> {
    const { workload, docker } = this.#o;
    if (tree.kind === 'volume') {
      const name = tree.key.slice('volume:'.length);
      if (!Object.hasOwn(workload.volumes, name)) throw foreignTree(tree.key);
      const { Mountpoint, Driver } = await docker.inspectVolume(name);
      if (Driver !== 'local') throw foreignTree(tree.key);
      return { first: Mountpoint, final: Mountpoint };
    }
    const mounts = (workload.inspect as ContainerInspect).Mounts;
    const isOwn = mounts.some(({ Type, Source }) => Type === 'bind' && Source === tree.path);
    if (!isOwn || tree.kind !== 'bind') throw foreignTree(tree.key);
    return { first: tree.path, final: tree.path };
  }

  /** Journaled where it is not there yet, from the topmost directory that is missing. */
  async #makeBindSource(path: string): Promise<void> {
    let missing: string | undefined;
    for (let at = path; !existsSync(at); at = dirname(at)) missing = at;
    if (missing !== undefined) await this.#o.acquire({ kind: 'directory', path: missing });
    await mkdir(dirname(path), { recursive: true });
  }

  #created(): Copy {
    if (this.#copy === undefined)
      throw new DrayageError('PROTOCOL', 'The source skipped a step: the copy has not been created.');
    return this.#copy;
  }
}

export function foreignTree(key: string): DrayageError {
  const what = `The source named a tree of files ${JSON.stringify(key)} that is not the workload's.`;
  return new DrayageError('PROTOCOL', what);
}

function noteReaddressed(network: string): string {
  return `on network ${network} the copy has another address: its subnet was chosen by the engine, which gives no fixed ones there`;
}
