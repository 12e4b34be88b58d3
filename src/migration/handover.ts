/**
 * How a workload's traffic follows it, on the source: held back from before the freeze until it is decided where the
 * workload runs, and forwarded to the target from then on. What fails here after the commit stops no workload.
 */
import { settleHandshakes } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { removeTable } from '../tools/nft.ts';
import type { Flow } from '../traffic/facts.ts';
import { knownFrom, withoutPassing } from '../traffic/flows.ts';
import {
  armedRules,
  finishSource,
  installTarget,
  prepareSource,
  readVia,
  remainingRules,
  removeSource,
  type SourceSide,
  targetRules,
} from '../traffic/forward.ts';
import {
  armTarget,
  endHold,
  type Hold,
  hold,
  holdNew,
  prepareHold,
  releaseToSource,
  releaseToTarget,
  removeHold,
  seal,
  unseal,
} from '../traffic/hold.ts';
import { tableName } from '../traffic/names.ts';
import { ingressDevices } from '../traffic/routes.ts';
import { notSwitched, removeForward, type StoredForward } from '../traffic/store.ts';
import { type Way, wayBetween } from '../traffic/way.ts';
import type { Facts } from './facts.ts';
import { afterwards, arrivingOlder, comesHome, type Older, olderForwards } from './older-forwards.ts';
import { readFlows } from './open-flows.ts';
import type { SourceMigration } from './source-migration.ts';
import type { ArrivingTraffic, MovedAddresses } from './target-port.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Handover {
  pid: number;
  held: Hold;
  way: Way;
  /** What will be forwarded; complete once the target has told the copy's addresses. */
  source: SourceSide;
  /** Open at the freeze, and this host's own to forward. */
  flows: Flow[];
  /** Of hosts that the workload was on before. */
  older: Older[];
  /** This host's own, of the time before the workload came home: for connections that are older than that. */
  homes: (StoredForward & { role: 'source' })[];
  target: { name: string; machine: string };
}

/** The workload runs meanwhile, so clients whose handshake is under way notice nothing of the wait. */
const PATIENCE = { handshakesMs: 50, acceptMs: 1000 };

/** Everything that can be made beforehand; no packet is touched. Undefined where nothing is to follow, or cannot. */
export async function prepareHandover(
  m: SourceMigration,
  { workload }: Facts,
  undo: UndoStack,
): Promise<Handover | undefined> {
  if (m.options.handover === 'none' || m.options.handover === 'address') return undefined;
  const { published, addresses } = workload.traffic ?? { published: [], addresses: [] };
  if (addresses.length === 0) return undefined;
  const [here, there] = await Promise.all([readNetwork(m.run), m.target.network()]);
  const bridges = bridgesOf(here, there.network);
  const way = wayBetween(here, there.network, { bridges });
  if (way === null) {
    m.emit({ type: 'note', message: 'no way was found for packets between the hosts: nothing will be forwarded' });
    return undefined;
  }
  const { older, homes } = await olderForwards(m, workload.ref.name, there);
  undo.push('the connections to other hosts', async () => {
    for (const one of older) if (one.kind === 'straight') await one.host.close();
  });
  const uplinks = ingressDevices(here).filter(({ name }) => !bridges.includes(name));
  const source: SourceSide = {
    id: m.id,
    published,
    addresses,
    flows: [],
    hop: way.hop.source,
    primary: primaryOf(uplinks, way.hop.source.device),
    ...(way.tunnel && { tunnel: way.tunnel.source }),
    ...(older.some(comesHome) && { only: 'open' as const }),
  };
  const devices = older.flatMap(({ forward }) => forward.side.hop.device);
  const names = [...new Set([...uplinks.map(({ name }) => name), ...devices])];
  const spec = { id: m.id, published, addresses, flows: [], uplinks: names };
  // Written down first, so that a recovery after a crash knows what to let go of.
  await m.journal.append({ type: 'acquired', resource: { kind: 'handover', key: 'handover', spec, source } });
  undo.push('the forward', () => removeSource(m.run, source));
  undo.push('the queues', () => removeHold(m.run, held));
  let held: Hold = { spec, lanes: [], how: 'drop' };
  held = await prepareHold(m.run, spec);
  await prepareSource(m.run, source);
  const target = { name: m.to, machine: there.machine };
  return { pid: workload.pid, held, way, source, flows: [], older, homes, target };
}

/**
 * From now on packets wait. Handshakes that are under way come to their end first, while the workload runs: CRIU moves
 * connections that a process holds, and a client whose handshake was forgotten would be reset.
 * @throws DrayageError NOT_ACCEPTED where the program does not accept its connections
 */
export async function holdTraffic(m: SourceMigration, handover: Handover, undo: UndoStack): Promise<void> {
  const { held, pid, source } = handover;
  undo.push('the hold', () => untilDone(m.stopping, () => releaseToSource(m.run, held), m.noteRetry));
  if (!m.options.dropConnections) await holdNew(m.run, held);
  const [flows] = await Promise.all([
    readFlows(m.run, pid, source.addresses),
    m.options.dropConnections ? 0 : settle(m, pid),
  ]);
  held.spec = { ...held.spec, flows };
  await hold(m.run, held);
}

/** @returns how long it took, in milliseconds */
export async function settle(m: SourceMigration, pid: number): Promise<number> {
  const began = m.trace.now();
  const left = await settleHandshakes(pid, PATIENCE);
  if (left.length > 0) throw new DrayageError('NOT_ACCEPTED', `Connections wait to be accepted: ${left.join(', ')}.`);
  return m.trace.now() - began;
}

/** The workload stands still: its kernel is silent from now on, and these connections are open. */
export async function noteFlows(m: SourceMigration, handover: Handover, undo: UndoStack): Promise<void> {
  const { held, pid, source, older } = handover;
  undo.push('the silence', () => unseal(m.run, held));
  await seal(m.run, held);
  await Promise.all(
    older.map(async (one) => {
      one.passing = [...(await readVia(m.run, one.forward.side))];
    }),
  );
  const passing = older.flatMap((one) => one.passing);
  const flows = withoutPassing(await readFlows(m.run, pid, source.addresses), passing);
  const earlier = handover.homes.flatMap(({ side }) => side.flows);
  handover.flows = knownFrom(earlier, flows);
}

export function arrivingTraffic(m: SourceMigration, { way, source, flows, older }: Handover): ArrivingTraffic {
  return {
    addresses: [...source.addresses],
    flows: [...flows, ...older.flatMap(({ kind, passing }) => (kind === 'relayed' ? passing : []))],
    hop: way.hop.target,
    ...(way.tunnel && { tunnel: way.tunnel.target }),
    from: m.self,
    only: isNeeded({ ...source, flows }) ? (source.only ?? 'all') : 'none',
    older: older.flatMap(arrivingOlder),
  };
}

/** @throws DrayageError ADDRESS_NOT_KEPT where open connections have an address that the copy did not get */
export function assertAddressesKept({ flows, older }: Handover, moved: MovedAddresses): void {
  const open = [...flows, ...older.flatMap(({ passing }) => passing)].filter(({ protocol }) => protocol === 'tcp');
  const lost = open.find(({ address }) => moved[address] !== undefined)?.address;
  if (lost === undefined) return;
  throw new DrayageError('ADDRESS_NOT_KEPT', `The copy has ${moved[lost]} in the place of ${lost}.`);
}

/** The forward as it will be, with the addresses that the copy has. */
export function forwardOf({ source, flows }: Handover, moved: MovedAddresses): SourceSide {
  const published = source.published.map((port) => ({ ...port, address: moved[port.address] ?? port.address }));
  const addresses = source.addresses.flatMap((one) => {
    const now = moved[one.address];
    return now === undefined ? [one] : [one, { ...one, address: now }];
  });
  return { ...source, published, flows, addresses };
}

/** Before the commit, and behind the hold: only the queues are left to be opened. May be repeated. */
export async function armForward(
  m: SourceMigration,
  { held, older, way }: Handover,
  side: SourceSide,
  undo: UndoStack,
): Promise<void> {
  for (const { forward, passing } of older) {
    undo.push('the rules of an older forward', () => installTarget(m.run, { ...forward.side, flows: passing }));
  }
  const network = await readNetwork(m.run);
  const passed = older.map(({ forward, passing }) =>
    targetRules({ ...forward.side, flows: passing, onward: way.hop.source }, network, held.lanes),
  );
  await armTarget(m.run, [armedRules(side, network, held.lanes), ...passed].join('\n'));
}

/** After the commit: what waited goes to the target, and so does all that comes. Nothing more comes from here. */
export async function switchTraffic(m: SourceMigration, { held }: Handover, side: SourceSide): Promise<void> {
  await releaseToTarget(m.run, held);
  if (!isNeeded(side)) return;
  await finishSource(m.run, side);
}

/** The frozen copy's sockets, which are about to be closed, tell nobody. */
export async function sealSource(m: SourceMigration, { held, homes }: Handover, side: SourceSide): Promise<void> {
  const network = await readNetwork(m.run);
  const present = network.devices.map(({ name }) => name);
  const over = homes.map(({ id }) => removeTable({ family: 'netdev', name: tableName('source', id) }));
  await endHold(m.run, held, [...over, remainingRules(side, network, held.lanes)].join('\n'), present);
}

/** A workload that came home needs none but for connections that were opened to this host. */
function isNeeded(side: SourceSide): boolean {
  return side.only !== 'open' || side.flows.length > 0;
}

/** Once the source's copy is gone: the forward is kept for good, and the queues are not needed any more. */
export async function settleForward(m: SourceMigration, handover: Handover, side: SourceSide): Promise<void> {
  const { held, older, homes, target, way } = handover;
  const workload = m.workload;
  try {
    if (!isNeeded(side)) await removeSource(m.run, side);
    else {
      await m.forwards.put({
        ...{ version: 1, role: 'source', id: m.id, workload, peer: target, since: Date.now() },
        ...{ side, before: { packets: 0, bytes: 0 } },
      });
    }
    await removeHold(m.run, held);
    for (const home of homes) await removeForward(m.run, m.forwards, home);
    for (const one of older) await afterwards(m, one, way.hop.source);
  } catch (error) {
    m.emit({ type: 'note', message: notSwitched({ id: m.id, workload }, error).message });
  }
}

function bridgesOf(...networks: Awaited<ReturnType<typeof readNetwork>>[]): string[] {
  return networks.flatMap(({ devices }) => devices.filter(({ kind }) => kind === 'bridge').map(({ name }) => name));
}

function primaryOf(uplinks: ReturnType<typeof ingressDevices>, device: string): SourceSide['primary'] {
  const addresses = [...uplinks]
    .sort((a, b) => Number(b.name === device) - Number(a.name === device))
    .flatMap((uplink) => uplink.addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address));
  const [v4, v6] = [addresses.find((one) => !one.includes(':')), addresses.find((one) => one.includes(':'))];
  return { ...(v4 && { 4: v4 }), ...(v6 && { 6: v6 }) };
}
