/** A move between the hosts of a rig, in the steps of a migration. */
import type { Started } from '../../exec/run.ts';
import { trackedFlows } from '../../tools/conntrack.ts';
import { type Network, readNetwork } from '../../tools/ip-network.ts';
import type { Flow, PublishedPort } from '../facts.ts';
import { openFlows, withoutPassing } from '../flows.ts';
import {
  armedRules,
  finishSource,
  installTarget,
  prepareSource,
  remainingRules,
  type SourceSide,
  type TargetSide,
} from '../forward.ts';
import { armTarget, endHold, type Hold, hold, prepareHold, releaseToTarget, removeHold } from '../hold.ts';
import type { Lane } from '../hold-rules.ts';
import { wayBetween } from '../way.ts';
import { BRIDGE, CONTAINER, PEER, Rig } from './rig.ts';

const PUBLISHED: PublishedPort[] = ([4, 6] as const).flatMap((family) => [
  { protocol: 'tcp', hostPort: 8080, address: CONTAINER[family], port: 80 },
  { protocol: 'udp', hostPort: 5353, address: CONTAINER[family], port: 53 },
]);

export interface Move {
  source: SourceSide;
  target: TargetSide;
  held: Hold;
}

/** Everything up to the freeze. */
export async function prepare(rig: Rig, from: string, to: string, flows: Flow[] = []): Promise<Move> {
  const [s, t] = [rig.host(from), rig.host(to)];
  const [here, there] = await Promise.all([readNetwork(s.run), readNetwork(t.run)]);
  const way = wayBetween(here, there, { bridges: [BRIDGE] });
  if (way === null) throw new Error('no way');
  const id = `${from}-${to}`;
  const addresses = await rig.addresses('W', from === 'S');
  const source: SourceSide = {
    id,
    published: PUBLISHED,
    addresses,
    flows,
    hop: way.hop.source,
    primary: s.address,
    ...(way.tunnel && { tunnel: way.tunnel.source }),
  };
  const target: TargetSide = {
    id,
    addresses,
    flows,
    hop: way.hop.target,
    ...(way.tunnel && { tunnel: way.tunnel.target }),
  };
  const held = await prepareHold(s.run, { id, published: PUBLISHED, addresses, flows, uplinks: ['eth0'] });
  await prepareSource(s.run, source);
  return { source, target, held };
}

/** What the source does between the freeze and the commit: the flows of that moment go to both sides. */
export async function freeze(rig: Rig, from: string, move: Move, passing: readonly Flow[] = []): Promise<Move> {
  const { run } = rig.host(from);
  await hold(run, move.held);
  const tracked = await trackedFlows(run, Object.values(CONTAINER));
  const open = openFlows({ tracked: tracked ?? [], sockets: [], addresses: move.source.addresses, listening: [] });
  const flows = withoutPassing(open, passing);
  return { ...move, source: { ...move.source, flows }, target: { ...move.target, flows } };
}

export async function commit(
  rig: Rig,
  from: string,
  to: string,
  { source, target, held }: Move,
  server: Started,
  more: (network: Network, lanes: Lane[]) => string = () => '',
): Promise<void> {
  const [s, t] = [rig.host(from), rig.host(to)];
  await installTarget(t.run, target);
  const network = await readNetwork(s.run);
  await armTarget(s.run, `${armedRules(source, network, held.lanes)}\n${more(network, held.lanes)}`);
  await rig.move('W', from, to);
  server.kill('SIGCONT');
  const { devices } = await readNetwork(s.run);
  const present = devices.map(({ name }) => name);
  await releaseToTarget(s.run, held);
  await finishSource(s.run, source);
  await endHold(s.run, held, remainingRules(source, network, held.lanes), present);
  await removeHold(s.run, held);
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Hosts {
  rig: Rig;
  server: Started;
}

export async function hostsWithWorkload(
  names: readonly string[],
  options: { routed?: readonly string[] } = {},
): Promise<Hosts & AsyncDisposable> {
  const rig = await Rig.make(['K', ...names], options);
  try {
    await rig.container('W', 'S', CONTAINER);
    await rig.container('P', 'S', PEER);
    await rig.publish('S');
    const server = await rig.serve('W');
    return { rig, server, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
  } catch (error) {
    await rig[Symbol.asyncDispose]();
    throw error;
  }
}
