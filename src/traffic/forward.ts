/**
 * A forward has two sides: the host that a workload left, and the one that has it. Both may be put in place again and
 * again, and are removed without an error where nothing is there.
 */
import type { Run } from '../exec/run.ts';
import { deleteDevices, type Network, readNetwork } from '../tools/ip-network.ts';
import { applyNft, listTables, readCounters, readSets, removeTable, replaceTable } from '../tools/nft.ts';
import type { Flow, WorkloadAddress } from './facts.ts';
import { knownFrom } from './flows.ts';
import type { Lane } from './hold-rules.ts';
import { isOurDevice, isOurTable, standInDevices, tableName } from './names.ts';
import { PATH_PORT } from './path-rules.ts';
import { ingressDevices } from './routes.ts';
import { learnedSets, type SourceForward, SPOKEN_SETS } from './source-address.ts';
import { giveRules, localTables, sourceTable, widenTable } from './source-rules.ts';
import { forPeers, forWorkload, makeStandIn, placeStandIn, removeStandIn, type StandIn } from './stand-in.ts';
import { type TargetForward, targetTable, unsealTarget, viaSet } from './target-rules.ts';
import { dropTunnel, ensureTunnel, type Tunnel } from './tunnel.ts';

export interface SourceSide extends SourceForward {
  tunnel?: Tunnel;
}

export interface TargetSide extends TargetForward {
  tunnel?: Tunnel;
}

/** Makes what the rules of a source side name, and changes nothing for any packet. Undo: `removeSource`. */
export async function prepareSource(run: Run, side: SourceSide): Promise<void> {
  const { devices } = await readNetwork(run);
  if (side.tunnel !== undefined)
    await ensureTunnel(
      run,
      side.tunnel,
      devices.map(({ name }) => name),
    );
  for (const standIn of standInsOf(side, devices)) await makeStandIn(run, standIn);
}

/** The rules of a prepared source side, for `armTarget`: for what comes out of a hold, and by its uplinks. */
export function armedRules(side: SourceSide, network: Network, lanes: readonly Lane[]): string {
  const uplinks = lanes.filter(({ kind }) => kind === 'uplink').map(({ device }) => device);
  const hop = side.hop === 'home' ? [] : [side.hop.device];
  const outer = [...new Set([...uplinks, ...hop, ...ends(lanes, 'uplink')])];
  const inner = [...standInEnds(network, side.id), ...ends(lanes, 'port')];
  return replaceTable(sourceTable(side, { routes: network.routes, local: localAddresses(network), outer, inner }));
}

/** What is added to `armedRules` when the workload runs: other devices, and this host's own programs. */
export function remainingRules(side: SourceSide, network: Network, lanes: readonly Lane[]): string {
  if (side.only === 'open') return '';
  const hop = side.hop === 'home' ? '' : side.hop.device;
  const taken = new Set([hop, ...lanes.map(({ device }) => device)]);
  const devices = outerDevices(network, hop).filter((name) => !taken.has(name));
  const local = localAddresses(network);
  return [widenTable(side, local, devices), ...localTables(side, local).map(replaceTable)].join('\n');
}

/** All rules of a source side at once. */
function sourceRules(side: SourceSide, network: Network): string {
  const table = sourceTable(side, {
    routes: network.routes,
    local: localAddresses(network),
    outer: outerDevices(network, side.hop === 'home' ? '' : side.hop.device),
    inner: side.hop === 'home' ? bridgesOf(network, side) : standInEnds(network, side.id),
  });
  const name = tableName('source', side.id);
  const older = (['ip', 'ip6'] as const).map((family) => removeTable({ family, name }));
  return [...older, ...[table, ...localTables(side, localAddresses(network))].map(replaceTable)].join('\n');
}

/** Peers reach the workload through the stand-in from now on; after the rules are in place. */
export async function finishSource(run: Run, side: SourceSide): Promise<void> {
  const { devices } = await readNetwork(run);
  for (const standIn of standInsOf(side, devices)) await placeStandIn(run, standIn);
}

/** All of a source side at once: after a reboot, or with other facts than before. */
export async function installSource(run: Run, side: SourceSide): Promise<void> {
  await prepareSource(run, side);
  await applyNft(run, sourceRules(side, await readNetwork(run)));
  await finishSource(run, side);
}

/**
 * Another container has got an address of the workload on the bridges in `yielded`: it is reached by it, as if nothing
 * had ever been forwarded. What comes for published ports is forwarded as before.
 */
export async function yieldAddresses(run: Run, side: SourceSide): Promise<void> {
  for (const standIn of forWorkload(side.id, side.addresses)) {
    if (side.yielded?.includes(standIn.bridge)) await removeStandIn(run, standIn);
  }
  await applyNft(run, sourceRules(side, await readNetwork(run)));
}

/** Ports in `given` are other containers' from now on, and no others any more; what is open goes on. */
export async function givePorts(run: Run, side: SourceSide): Promise<void> {
  await applyNft(run, giveRules(side, localAddresses(await readNetwork(run))));
}

/**
 * Another hop for a source side that is in place, with what was learned: the workload has moved on (`hop`), or come home
 * (`home` and `only`, where `flows` are those that are to live on).
 */
export async function changeSource(run: Run, side: SourceSide): Promise<void> {
  const network = await readNetwork(run);
  if (side.tunnel !== undefined)
    await ensureTunnel(
      run,
      side.tunnel,
      network.devices.map(({ name }) => name),
    );
  await applyNft(run, sourceRules(side, await readNetwork(run)));
  if (side.hop === 'home') {
    for (const standIn of forWorkload(side.id, side.addresses)) await removeStandIn(run, standIn);
  }
}

/** Flows that came by way of a source side, with what it has learned of how their clients know the workload. */
export async function flowsKnown(run: Run, side: SourceSide, flows: readonly Flow[]): Promise<Flow[]> {
  // The workload runs elsewhere by now: what cannot be read counts as not learned.
  const [network, sets] = await Promise.all([
    readNetwork(run),
    readSets(run, 'netdev', tableName('source', side.id)).catch(() => new Map<string, string[][]>()),
  ]);
  const clientsIn = (set: string): string[] => (sets.get(set) ?? []).map((row) => row.join(' '));
  const directly = new Set(side.addresses.flatMap((_, index) => clientsIn(`direct_${index}`)));
  const learned = learnedSets(side, localAddresses(network)).map((set) => ({
    ...set,
    clients: new Set(clientsIn(set.name)),
  }));
  const opened = side.flows.filter(({ by }) => by === 'workload');
  return knownFrom(opened, flows).map((flow) => {
    const key = [flow.peer, PROTOCOLS[flow.protocol], flow.peerPort, flow.port].join(' ');
    const mine = learned.filter(
      ({ address, protocol, port }) => address === flow.address && protocol === flow.protocol && port === flow.port,
    );
    const set = mine.find(({ clients }) => clients.has(key)) ?? mine.find(({ rest }) => rest);
    if (flow.by === 'workload' || directly.has(key) || set === undefined) return flow;
    return { ...flow, known: set.known };
  });
}

/** Sets are read with numbers (`--numeric`). */
const PROTOCOLS = { tcp: '6', udp: '17' } as const;

/** Whether a client by UDP has spoken lately, of those that a forward for what was open is kept for. */
export async function isSpokenTo(run: Run, side: Pick<SourceSide, 'id'>): Promise<boolean> {
  const sets = await readSets(run, 'netdev', tableName('source', side.id));
  const spoken = [...sets].flatMap(([name, clients]) => (SPOKEN_SETS.test(name) ? clients : []));
  return spoken.some(([, protocol]) => protocol === PROTOCOLS.udp);
}

export async function removeSource(run: Run, side: Pick<SourceSide, 'id' | 'addresses' | 'tunnel'>): Promise<void> {
  const name = tableName('source', side.id);
  await applyNft(run, (['netdev', 'ip', 'ip6'] as const).map((family) => removeTable({ family, name })).join('\n'));
  for (const standIn of forWorkload(side.id, side.addresses)) await removeStandIn(run, standIn);
  if (side.tunnel !== undefined) await dropTunnel(run, side.tunnel);
}

/** Before the workload runs here; its bridges must be there. Undo: `removeTarget`. */
export async function installTarget(run: Run, side: TargetSide, lanes: readonly Lane[] = []): Promise<void> {
  const before = await readNetwork(run);
  const standIns = forPeers(side.id, onPresent(side.addresses, before.devices));
  if (side.tunnel !== undefined)
    await ensureTunnel(
      run,
      side.tunnel,
      before.devices.map(({ name }) => name),
    );
  for (const standIn of standIns) {
    await makeStandIn(run, standIn);
    await placeStandIn(run, standIn);
  }
  const isChanged = side.tunnel !== undefined || standIns.length > 0;
  await applyNft(run, targetRules(side, isChanged ? await readNetwork(run) : before, lanes));
}

/** What the workload sends gets out from now on; of sides that were put in place `sealed`. */
export async function unsealTargets(run: Run, ids: readonly string[]): Promise<void> {
  await applyNft(run, ids.map(unsealTarget).join('\n'));
}

/** Also with `onward` set, when the workload moves on: for `armTarget` of that move's hold. */
export function targetRules(side: TargetSide, network: Network, lanes: readonly Lane[] = []): string {
  const present = (name: string): boolean => network.devices.some((device) => device.name === name);
  const onward = side.onward === undefined ? [] : [side.onward.device];
  const outer = [side.hop.device, ...onward, ...ends(lanes, 'uplink')].filter(present);
  const bridges = [...new Set(side.addresses.map(({ bridge }) => bridge))];
  const inner = [...bridges, ...bridges.map((_, index) => standInDevices(side.id, index).end)].filter(present);
  // Where the workload is here no more, nobody asks for it.
  const uplinks = side.onward === undefined ? ingressDevices(network).map(({ name }) => name) : [];
  return replaceTable(targetTable(side, { outer: [...new Set(outer)], inner, uplinks }));
}

export async function removeTarget(run: Run, side: Pick<TargetSide, 'id' | 'addresses' | 'tunnel'>): Promise<void> {
  await applyNft(run, removeTable({ family: 'netdev', name: tableName('target', side.id) }));
  for (const standIn of forPeers(side.id, side.addresses)) await removeStandIn(run, standIn);
  const bridges = new Set(side.addresses.map(({ bridge }) => bridge)).size;
  await deleteDevices(
    run,
    Array.from({ length: bridges }, (_, index) => standInDevices(side.id, index).port),
  );
  if (side.tunnel !== undefined) await dropTunnel(run, side.tunnel);
}

export interface Forwarded {
  toTarget: { packets: number; bytes: number };
  fromTarget: { packets: number; bytes: number };
}

/** Since the rules were last put in place; null where they are not. */
export async function readSource(run: Run, id: string): Promise<Forwarded | null> {
  const counters = await readCounters(run, 'netdev', tableName('source', id));
  const take = (name: string): Forwarded['toTarget'] | undefined => {
    const found = counters.find((counter) => counter.name === name);
    return found && { packets: found.packets, bytes: found.bytes };
  };
  const [toTarget, fromTarget] = [take('to_target'), take('from_target')];
  return toTarget === undefined || fromTarget === undefined ? null : { toTarget, fromTarget };
}

/** Connections that came by way of the other host, as they stand in the target side's rules. */
export async function readVia(run: Run, side: Pick<TargetSide, 'id' | 'addresses'>): Promise<TargetForward['flows']> {
  const sets = await readSets(run, 'netdev', tableName('target', side.id));
  const flows = side.addresses.flatMap(({ address }, index) =>
    (sets.get(viaSet(index)) ?? []).map(([peer = '', protocol, peerPort, port]) => ({
      protocol: protocol === PROTOCOLS.udp ? ('udp' as const) : ('tcp' as const),
      address,
      port: Number(port),
      peer,
      peerPort: Number(peerPort),
      by: 'peer' as const,
    })),
  );
  // The first packets of a trial of the way (path.ts) come before the other host takes them out.
  return flows.filter(({ protocol, port }) => protocol === 'tcp' || port !== PATH_PORT);
}

/** What drayage has made in this network namespace; empty where all is as it was before. */
export async function leftOvers(run: Run): Promise<string[]> {
  const [tables, { devices }] = await Promise.all([listTables(run), readNetwork(run)]);
  return [
    ...tables.filter(({ name }) => isOurTable(name)).map(({ family, name }) => `table ${family} ${name}`),
    ...devices.filter(({ name }) => isOurDevice(name)).map(({ name }) => `device ${name}`),
  ];
}

function outerDevices(network: Network, hop: string): string[] {
  const names = ingressDevices(network).map(({ name }) => name);
  const tunnel = network.devices.some(({ name }) => name === hop) ? [hop] : [];
  return [...new Set([...names, ...tunnel])];
}

/** Also those of bridges, by which neighbours of the workload may ask for its published ports. */
function localAddresses(network: Network): string[] {
  const devices = ingressDevices(network);
  return devices.flatMap(({ addresses }) =>
    addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address),
  );
}

function bridgesOf(network: Network, { addresses }: SourceSide): string[] {
  return [...new Set(onPresent(addresses, network.devices).map(({ bridge }) => bridge))];
}

function standInsOf(side: SourceSide, devices: Network['devices']): StandIn[] {
  if (side.hop === 'home') return [];
  const all = forWorkload(side.id, onPresent(side.addresses, devices));
  return all.filter(({ bridge }) => !side.yielded?.includes(bridge));
}

function standInEnds({ devices }: Network, id: string): string[] {
  const prefix = standInDevices(id, 0).end.slice(0, -1);
  return devices.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name);
}

function ends(lanes: readonly Lane[], kind: Lane['kind']): string[] {
  return lanes.filter((lane) => lane.kind === kind).map(({ far }) => far);
}

function onPresent(addresses: readonly WorkloadAddress[], devices: Network['devices']): WorkloadAddress[] {
  return addresses.filter(({ bridge }) => devices.some(({ name }) => name === bridge));
}
