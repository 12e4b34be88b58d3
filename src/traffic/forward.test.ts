/** Real packets, in network namespaces of the test's own; needs root. */
import { expect, it } from 'vitest';
import type { Started } from '../exec/run.ts';
import { trackedFlows } from '../tools/conntrack.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Flow, PublishedPort } from './facts.ts';
import { openFlows } from './flows.ts';
import {
  finishSource,
  installTarget,
  leftOvers,
  prepareSource,
  readSource,
  removeSource,
  removeTarget,
  type SourceSide,
  sourceRules,
  type TargetSide,
} from './forward.ts';
import { type Hold, hold, prepareHold, readHold, releaseToSource, releaseToTarget, removeHold } from './hold.ts';
import { BRIDGE, CONTAINER, PEER, Rig } from './testing/rig.ts';
import { wayBetween } from './way.ts';

const PUBLISHED: PublishedPort[] = ([4, 6] as const).flatMap((family) => [
  { protocol: 'tcp', hostPort: 8080, address: CONTAINER[family], port: 80 },
  { protocol: 'udp', hostPort: 5353, address: CONTAINER[family], port: 53 },
]);

interface Move {
  source: SourceSide;
  target: TargetSide;
  held: Hold;
}

/** Everything up to the freeze. */
async function prepare(rig: Rig, from: string, to: string, flows: Flow[] = []): Promise<Move> {
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
async function freeze(rig: Rig, from: string, move: Move): Promise<Move> {
  const { run } = rig.host(from);
  await hold(run, move.held);
  const tracked = await trackedFlows(run, Object.values(CONTAINER));
  const flows = openFlows({ tracked: tracked ?? [], sockets: [], addresses: move.source.addresses, listening: [] });
  return { ...move, source: { ...move.source, flows }, target: { ...move.target, flows } };
}

async function commit(
  rig: Rig,
  from: string,
  to: string,
  { source, target, held }: Move,
  server: Started,
): Promise<void> {
  const [s, t] = [rig.host(from), rig.host(to)];
  await installTarget(t.run, target);
  await rig.move('W', from, to);
  server.kill('SIGCONT');
  const network = await readNetwork(s.run);
  const present = network.devices.map(({ name }) => name);
  await releaseToTarget(s.run, held, sourceRules(source, network, held.lanes), present);
  await finishSource(s.run, source);
  await removeHold(s.run, held);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface TwoHosts {
  rig: Rig;
  server: Started;
}

async function twoHosts(options: { routed?: readonly string[] } = {}): Promise<TwoHosts & AsyncDisposable> {
  const rig = await Rig.make(['K', 'S', 'T'], options);
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

it('an undone hold: what waited is delivered here, and nothing is left', async () => {
  await using hosts = await twoHosts();
  const { rig, server } = hosts;
  const s = rig.host('S');
  const counting = [
    await rig.count('K', '10.9.0.1', 8080, 1500),
    await rig.count('K', 'fd09::1', 8080, 1000),
    await rig.count('P', CONTAINER[4], 80, 600),
  ];
  const move = await prepare(rig, 'S', 'T');
  const from = performance.now();
  await hold(s.run, move.held);
  server.kill('SIGSTOP');
  await pause(300);
  const waiting = await readHold(s.run, move.held);
  expect(waiting.packets).toBeGreaterThan(30);
  expect(waiting.dropped).toBe(0);
  server.kill('SIGCONT');
  await releaseToSource(s.run, move.held);
  const heldMs = performance.now() - from;
  await removeSource(s.run, move.source);
  const results = await Promise.all(counting.map((one) => one.result));
  for (const result of results) {
    expect(result).not.toHaveProperty('error');
    expect(result.longestMs).toBeLessThan(heldMs + 60);
  }
  expect(await leftOvers(s.run)).toEqual([]);
});

for (const routed of [[], ['T']]) {
  it(`a committed move, ${routed.length === 0 ? 'on one layer-2 network' : 'with a router between'}: connections live on, new ones are made, peers find it`, async () => {
    await using hosts = await twoHosts({ routed });
    const { rig, server } = hosts;
    const [s, t] = [rig.host('S'), rig.host('T')];
    const counting = [
      await rig.count('K', '10.9.0.1', 8080, 2500),
      await rig.count('K', 'fd09::1', 8080, 2000),
      await rig.count('P', CONTAINER[4], 80, 1600),
      await rig.count('P', CONTAINER[6], 80, 1200),
    ];
    const prepared = await prepare(rig, 'S', 'T');
    const from = performance.now();
    const move = await freeze(rig, 'S', prepared);
    server.kill('SIGSTOP');
    const asked = rig.ask('K', 'tcp', '10.9.0.1', 8080);
    await pause(200);
    await commit(rig, 'S', 'T', move, server);
    const heldMs = performance.now() - from;
    expect(await asked).toMatchObject({ answer: 'W hi' });
    const answers = await Promise.all([
      rig.ask('K', 'tcp', s.address[4], 8080),
      rig.ask('K', 'tcp', s.address[6], 8080),
      rig.ask('K', 'udp', s.address[4], 5353),
      rig.ask('K', 'udp', s.address[6], 5353),
      rig.ask('K', 'tcp', t.address[4], 8080),
      rig.ask('P', 'tcp', CONTAINER[4], 80),
      rig.ask('P', 'tcp', CONTAINER[6], 80),
      rig.ask('P', 'tcp', s.address[4], 8080),
      rig.ask('S', 'tcp', s.address[4], 8080),
      rig.ask('S', 'tcp', CONTAINER[4], 80),
    ]);
    expect(answers.map(({ answer, error }) => answer ?? error)).toEqual(answers.map(() => 'W hi'));
    expect(answers[2]).toMatchObject({ from: '10.9.0.1 5353' });
    const results = await Promise.all(counting.map((one) => one.result));
    for (const result of results) {
      expect(result).not.toHaveProperty('error');
      expect(result.longestMs).toBeLessThan(heldMs + 60);
    }
    expect((await readSource(s.run, move.source.id))?.toTarget.packets).toBeGreaterThan(100);
    await removeSource(s.run, move.source);
    await removeTarget(t.run, move.target);
    expect((await leftOvers(s.run)).filter((one) => !one.includes('dyv'))).toEqual([]);
    expect((await leftOvers(t.run)).filter((one) => !one.includes('dyv'))).toEqual([]);
  });
}
