/**
 * How a workload's traffic follows it, on the source: held back from before the freeze until it is decided where the
 * workload runs, and forwarded to the target from then on. What fails here after the commit stops no workload.
 */
import { attachmentsOf } from '../engines/docker/attachments.ts';
import { settleHandshakes } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Flow } from '../traffic/facts.ts';
import { finishSource, prepareSource, removeSource, type SourceSide, sourceRules } from '../traffic/forward.ts';
import { type Hold, hold, prepareHold, releaseToSource, releaseToTarget, removeHold } from '../traffic/hold.ts';
import { ingressDevices } from '../traffic/routes.ts';
import { type Way, wayBetween } from '../traffic/way.ts';
import type { Facts } from './facts.ts';
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
  flows: Flow[];
}

/** The workload runs meanwhile, so clients whose handshake is under way notice nothing of the wait. */
const HANDSHAKE_PATIENCE_MS = 50;

/** Everything that can be made beforehand; no packet is touched. Undefined where nothing is to follow, or cannot. */
export async function prepareHandover(
  m: SourceMigration,
  { workload }: Facts,
  undo: UndoStack,
): Promise<Handover | undefined> {
  if (m.options.handover === 'none') return undefined;
  const { published, addresses } = await attachmentsOf(m.docker, m.run, workload.inspect as ContainerInspect);
  if (addresses.length === 0) return undefined;
  const [here, there] = await Promise.all([readNetwork(m.run), m.target.network()]);
  const bridges = [...here.devices, ...there.devices].filter(({ kind }) => kind === 'bridge').map(({ name }) => name);
  const way = wayBetween(here, there, { bridges });
  if (way === null) {
    m.emit({ type: 'note', message: 'no way was found for packets between the hosts: nothing will be forwarded' });
    return undefined;
  }
  const uplinks = ingressDevices(here).filter(({ name }) => !bridges.includes(name));
  const source: SourceSide = {
    id: m.id,
    published,
    addresses,
    flows: [],
    hop: way.hop.source,
    primary: primaryOf(uplinks, way.hop.source.device),
    ...(way.tunnel && { tunnel: way.tunnel.source }),
  };
  const spec = { id: m.id, published, addresses, flows: [], uplinks: uplinks.map(({ name }) => name) };
  // Written down first, so that a recovery after a crash knows what to let go of.
  await m.journal.append({ type: 'acquired', resource: { kind: 'handover', key: 'handover', spec, source } });
  undo.push('the forward', () => removeSource(m.run, source));
  const held = await prepareHold(m.run, spec);
  undo.push('the queues', () => removeHold(m.run, held));
  await prepareSource(m.run, source);
  return { pid: workload.pid, held, way, source, flows: [] };
}

/**
 * From now on packets wait. Handshakes that are under way come to their end first, while the workload runs: CRIU moves
 * connections that a process holds, and a client whose handshake was forgotten would be reset.
 * @throws DrayageError NOT_ACCEPTED where the program does not accept its connections
 */
export async function holdTraffic(m: SourceMigration, handover: Handover, undo: UndoStack): Promise<void> {
  const { held, pid, source } = handover;
  undo.push('the hold', () => untilDone(m.stopping, () => releaseToSource(m.run, held), m.noteRetry));
  if (!m.options.dropConnections) {
    await hold(m.run, { ...held, spec: { ...held.spec, only: 'new' } });
    const left = await settleHandshakes(pid, HANDSHAKE_PATIENCE_MS);
    if (left.some((one) => one.includes('not accepted'))) {
      throw new DrayageError('NOT_ACCEPTED', `Connections wait to be accepted: ${left.join(', ')}.`);
    }
  }
  handover.flows = await readFlows(pid, source.addresses);
  held.spec = { ...held.spec, flows: handover.flows };
  await hold(m.run, held);
}

export function arrivingTraffic({ way, source, flows }: Handover): ArrivingTraffic {
  return {
    addresses: [...source.addresses],
    flows,
    hop: way.hop.target,
    ...(way.tunnel && { tunnel: way.tunnel.target }),
  };
}

/** The forward as it will be, with the addresses that the copy has. */
export function forwardOf({ source, flows }: Handover, moved: MovedAddresses): SourceSide {
  const published = source.published.map((port) => ({ ...port, address: moved[port.address] ?? port.address }));
  const own = source.addresses.flatMap((one) => {
    const now = moved[one.address] ?? one.address;
    return now === one.address ? [one] : [one, { ...one, address: now }];
  });
  return { ...source, published, flows, addresses: own };
}

/** After the commit: what waited goes to the target, and so does all that comes. */
export async function switchTraffic(m: SourceMigration, { held }: Handover, side: SourceSide): Promise<void> {
  const network = await readNetwork(m.run);
  const present = network.devices.map(({ name }) => name);
  await releaseToTarget(m.run, held, sourceRules(side, network, held.lanes), present);
}

/** Once the source's copy is gone: the stand-in takes its place on the bridge, and the queues are not needed any more. */
export async function settleForward(m: SourceMigration, { held }: Handover, side: SourceSide): Promise<void> {
  await finishSource(m.run, side);
  await removeHold(m.run, held);
}

function primaryOf(uplinks: ReturnType<typeof ingressDevices>, device: string): SourceSide['primary'] {
  const addresses = [...uplinks]
    .sort((a, b) => Number(b.name === device) - Number(a.name === device))
    .flatMap((uplink) => uplink.addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address));
  const [v4, v6] = [addresses.find((one) => !one.includes(':')), addresses.find((one) => one.includes(':'))];
  return { ...(v4 && { 4: v4 }), ...(v6 && { 6: v6 }) };
}
