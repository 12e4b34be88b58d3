/**
 * How a workload's traffic follows it, on the source: held back from before the freeze until it is decided where the
 * workload runs; see switch-traffic.ts for what comes after the commit.
 */
import { settleDatagrams, settleHandshakes, untilPassedOn } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Flow, WorkloadAddress } from '../traffic/facts.ts';
import { knownFrom, withoutPassing } from '../traffic/flows.ts';
import {
  armedRules,
  installTarget,
  prepareSource,
  readVia,
  removeSource,
  type SourceSide,
  targetRules,
} from '../traffic/forward.ts';
import {
  armTarget,
  type Hold,
  hold,
  holdNew,
  prepareHold,
  releaseToSource,
  removeHold,
  seal,
  unseal,
} from '../traffic/hold.ts';
import { lanesOf } from '../traffic/hold-rules.ts';
import { ingressDevices } from '../traffic/routes.ts';
import type { StoredForward } from '../traffic/store.ts';
import { ensureTunnel } from '../traffic/tunnel.ts';
import { type Way, wayBetween } from '../traffic/way.ts';
import { isForwarded } from './events.ts';
import type { ContainerFacts } from './facts.ts';
import { arrivingOlder, comesHome, type Older, olderForwards } from './older-forwards.ts';
import { readFlows } from './open-flows.ts';
import type { SourceMigration } from './source-migration.ts';
import type { ArrivingTraffic } from './target-port.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Handover {
  pid: number;
  /** `docker:web`, however the user named it. */
  workload: string;
  held: Hold;
  way: Way;
  /** What will be forwarded. */
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
const PATIENCE = { answerMs: 1300, acceptMs: 1000, againMs: 4500, limitMs: 20_000, readMs: 100 };

/** Everything that can be made beforehand; no packet is touched. Undefined where nothing is to follow, or cannot. */
export async function prepareHandover(
  m: SourceMigration,
  { workload, source: host, exploration }: ContainerFacts,
  undo: UndoStack,
): Promise<Handover | undefined> {
  if (!isForwarded(m.options)) return undefined;
  const { published, addresses } = workload.traffic ?? { published: [], addresses: [] };
  if (addresses.length === 0) return undefined;
  const [here, there] = await Promise.all([readNetwork(m.run), m.target.network()]);
  const bridges = bridgesOf(here, there.network);
  // As it was tried: where packets are lost as they are, they go wrapped.
  const force = exploration?.way?.tunnel === undefined ? {} : ({ force: 'tunnel' } as const);
  const way = wayBetween(here, there.network, { bridges, ...force });
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
  // Without a hook behind the bridge there is no lane for what its other ports send.
  const egress = (host.traffic?.egressRefused ?? null) === null;
  const spec = {
    ...{ id: m.id, published, flows: [], uplinks: names, egress },
    addresses: [...addresses, ...otherAddresses(addresses, older)],
  };
  // Written down first, so that a recovery after a crash knows what to let go of.
  const { machine } = there;
  const name = `${workload.ref.engine}:${workload.ref.name}`;
  const resource = { kind: 'handover', key: 'handover', spec, source, machine, workload: name };
  await m.journal.append({ type: 'acquired', resource });
  undo.push('the forward', () => removeSource(m.run, source));
  undo.push('the queues', () => removeHold(m.run, held));
  let held: Hold = { spec, lanes: lanesOf(spec), how: 'drop' };
  held = await prepareHold(m.run, spec);
  if (held.how === 'drop')
    m.emit({
      type: 'note',
      message: 'packets that come during the pause are dropped, and sent again by their senders',
    });
  await prepareSource(m.run, source);
  const target = { name: m.to, machine };
  return { pid: workload.pid, workload: name, held, way, source, flows: [], older, homes, target };
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
  const [flows, settledMs] = await Promise.all([
    readFlows(m.run, pid, source.addresses),
    m.options.dropConnections ? 0 : settle(m, pid),
  ]);
  // What it opened meanwhile is to be known, too.
  const isOld = settledMs > 20;
  held.spec = { ...held.spec, flows: isOld ? await readFlows(m.run, pid, source.addresses) : flows };
  await hold(m.run, held);
  await settleDatagrams(pid, PATIENCE.readMs);
}

/** Those of hosts that it was on before, for the connections of that time. */
function otherAddresses(own: readonly WorkloadAddress[], older: readonly Older[]): WorkloadAddress[] {
  const all = older.flatMap(({ forward }) => forward.side.addresses);
  return all.flatMap((one) => {
    if (own.some(({ address }) => address === one.address)) return [];
    const port = own.find(({ bridge }) => bridge === one.bridge)?.port;
    return [{ ...one, ...(port && { port }) }];
  });
}

/**
 * @returns how long it took, in milliseconds
 * @throws DrayageError NOT_ACCEPTED where the program does not accept its connections
 */
export async function settle(m: SourceMigration, pid: number): Promise<number> {
  const began = m.trace.now();
  const { waiting, unanswered } = await settleHandshakes(pid, PATIENCE, m.signal);
  if (waiting.length > 0) {
    throw new DrayageError('NOT_ACCEPTED', `Connections wait to be accepted: ${waiting.join(', ')}.`);
  }
  if (unanswered > 0) m.emit({ type: 'note', message: `handshakes that clients left unanswered: ${unanswered}` });
  return m.trace.now() - began;
}

/** The workload stands still: its kernel is silent from now on, and these connections are open. */
export async function noteFlows(m: SourceMigration, handover: Handover, undo: UndoStack): Promise<void> {
  const { held, pid, source, older } = handover;
  undo.push('the silence', () => unseal(m.run, held));
  // What it sent last is to get out before.
  await untilPassedOn(PATIENCE.readMs);
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
  // Until a host that the workload comes home to knows them again, they are answered by way of here, as they came: the
  // restored kernel speaks first.
  const byWayOfHere = older.flatMap(({ kind, passing }) => (kind === 'straight' ? [] : passing));
  return {
    addresses: [...source.addresses],
    flows: [...flows, ...byWayOfHere],
    hop: way.hop.target,
    ...(way.tunnel && { tunnel: way.tunnel.target }),
    from: m.self,
    only: isNeeded({ ...source, flows }) ? (source.only ?? 'all') : 'none',
    older: older.flatMap(arrivingOlder),
  };
}

/** The forward as it will be. */
export function forwardOf({ source, flows }: Handover): SourceSide {
  return { ...source, flows };
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
  const present = await readNetwork(m.run);
  // The end of another forward between these hosts may have taken it along.
  if (side.tunnel !== undefined)
    await ensureTunnel(
      m.run,
      side.tunnel,
      present.devices.map(({ name }) => name),
    );
  const network = side.tunnel === undefined ? present : await readNetwork(m.run);
  const passed = older.map(({ forward, passing }) =>
    targetRules({ ...forward.side, flows: passing, onward: way.hop.source }, network, held.lanes),
  );
  await armTarget(m.run, [armedRules(side, network, held.lanes), ...passed].join('\n'));
}

/** A workload that came home needs none but for connections that were opened to this host. */
export function isNeeded(side: SourceSide): boolean {
  return side.only !== 'open' || side.flows.length > 0;
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
