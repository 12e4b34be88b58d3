/** Pure: what a migration will carry and make, and what it will take, from the facts alone. */
import { planImage } from '../engines/docker/image-plan.ts';
import { missingLayers } from '../engines/docker/layers.ts';
import type { FileTree, HostFacts, WorkloadFacts } from '../engines/facts.ts';
import type { NetworkInspect } from '../tools/docker-types.ts';
import { type LanDevice, sameLan } from '../traffic/lan.ts';
import { parentOf } from '../traffic/own-device.ts';
import { isForwarded, type MigrateOptions } from './events.ts';
import type { Exploration } from './explore.ts';
import type { Facts } from './facts.ts';
import { bindKind } from './preflight/files.ts';

export interface Plan {
  strategy: 'stop-copy';
  /** Diff ids, bottom first, of the layers that the target lacks; `bytes` is an estimate from the whole image's size. */
  image: { missingLayers: string[]; bytes: number };
  /** Trees of files to carry. */
  trees: FileTree[];
  /** Names of user-defined networks to make on the target. */
  networksToCreate: string[];
  /** Addresses of its own on the LAN, which it takes along, with the target's device for them. */
  addressesToMove: { address: string; parent: string }[];
  /** Names of volumes to make on the target. */
  volumesToCreate: string[];
  memoryBytes: number;
  /** Absent where nothing is held or forwarded. */
  traffic?: TrafficPlan;
  predictedOutageMs: number;
  /** Everything that will cross to the target. */
  predictedBytes: number;
}

interface TrafficPlan {
  /** What becomes of packets during the pause: they wait, or are lost and sent again. */
  pause: 'queue' | 'drop';
  /** How they get to the target afterwards: as they are, or wrapped. */
  way: 'plain' | 'tunnel';
}

export function makePlan(facts: Facts, options: MigrateOptions): Plan {
  const { workload, source, target, exploration } = facts;
  const parents = parentsThere(facts);
  const image = imageToSend(workload.image, target);
  const trees = carriedTrees(workload.files, options);
  const { memoryBytes } = workload;
  return {
    strategy: 'stop-copy',
    image,
    trees,
    networksToCreate: without(
      Object.keys(workload.networks),
      target.docker?.networks.map(({ name }) => name),
    ),
    addressesToMove: (workload.traffic?.own ?? []).flatMap(({ network, addresses }) =>
      addresses
        .filter((address) => !address.startsWith('fe80:'))
        .map((address) => ({ address, parent: parents[network] ?? '' })),
    ),
    volumesToCreate: without(Object.keys(workload.volumes), target.docker?.volumes),
    memoryBytes,
    ...trafficPlan(source, exploration, options),
    predictedOutageMs: predictOutage(memoryBytes, trees),
    predictedBytes: image.bytes + sum(trees, ({ bytes }) => bytes) + memoryBytes,
  };
}

/**
 * On which device of the target each of the workload's networks of the LAN hangs there, by the networks' names: that of a
 * network which is there already, or one on the same LAN as here. Networks without one are left out.
 */
export function parentsThere(facts: Facts): Record<string, string> {
  return Object.fromEntries(
    lanNetworks(facts).flatMap(({ network, there }) => (there === null ? [] : [[network.Name, there.device]])),
  );
}

/** The workload's networks of the LAN. `there` is null where the target has no device for it. */
export function lanNetworks({
  workload,
  source,
  target,
}: Facts): { network: NetworkInspect; parent: string; there: LanDevice | null; existing?: string }[] {
  const networks = Object.values(workload.networks) as NetworkInspect[];
  return networks.flatMap((network) => {
    const parent = parentOf(network);
    if (parent === undefined) return [];
    const existing = target.docker?.networks.find(({ name }) => name === network.Name)?.parent;
    const [here, other] = [source.traffic?.network, target.traffic?.network];
    const there = here === undefined || other === undefined ? null : sameLan(here, other, parent, subnetsOf(network));
    return [{ network, parent, there, ...(existing === undefined ? {} : { existing }) }];
  });
}

function subnetsOf({ IPAM }: NetworkInspect): string[] {
  return (IPAM.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet]));
}

/** Bind mounts only where the user asked for it, and then only those that hold data: see bindKind. */
export function carriedTrees(
  files: readonly FileTree[],
  { carryBinds }: Pick<MigrateOptions, 'carryBinds'>,
): FileTree[] {
  return files.filter(({ kind, path }) => kind !== 'bind' || (carryBinds && bindKind({ Source: path }) === 'data'));
}

function trafficPlan(
  source: HostFacts,
  exploration: Exploration | undefined,
  options: MigrateOptions,
): Pick<Plan, 'traffic'> {
  const way = exploration?.way;
  if (!isForwarded(options) || way === undefined) return {};
  const pause = source.traffic?.queueRefused === null ? 'queue' : 'drop';
  return { traffic: { pause, way: way.tunnel === undefined ? 'plain' : 'tunnel' } };
}

function imageToSend(image: WorkloadFacts['image'], target: HostFacts): Plan['image'] {
  if (!planImage(image, target).load) return { missingLayers: [], bytes: 0 };
  const missing = missingLayers(image.layers, target.docker?.layers ?? []);
  // The engine does not tell the size of a single layer.
  return {
    missingLayers: missing,
    bytes: Math.round((image.bytes * missing.length) / Math.max(image.layers.length, 1)),
  };
}

/** What CRIU, runc and the engine need for the smallest container, dump and restore together. */
const FIXED_MS = 300;
/** Bytes a second: dump to tmpfs and transfer, which overlap, over a link of 10 Gbit/s; restore from tmpfs. */
const SEND_RATE = 1.1e9;
const RESTORE_RATE = 1.5e9;
/** Files a second that the last pass looks at. */
const WALK_RATE = 100_000;

/**
 * Fixed part, then the slower of what overlaps (memory on its way, last pass over the files), then the restore. What
 * the last pass finds to send is not known beforehand, and a slower link adds to it.
 */
function predictOutage(memoryBytes: number, trees: readonly FileTree[]): number {
  const entries = sum(trees, (tree) => tree.entries);
  const overlapping = Math.max(memoryBytes / SEND_RATE, entries / WALK_RATE);
  return Math.round(FIXED_MS + 1000 * (overlapping + memoryBytes / RESTORE_RATE));
}

function without(names: readonly string[], there: readonly string[] = []): string[] {
  return names.filter((name) => !there.includes(name));
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
