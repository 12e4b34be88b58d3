/** Whether packets get through is told by real packets, in network namespaces of the test's own; needs root. */
import { expect, it } from 'vitest';
import { runner } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { probeTraffic } from './capabilities.ts';
import { leftOvers } from './forward.ts';
import { answered, questionsFor } from './in-use.ts';
import { answerPath, type PathResult, type PathTools, removePaths, tryPath } from './path.ts';
import { PATH_PORT, PATH_SIZES, type PathEnd } from './path-rules.ts';
import { BRIDGE, CONTAINER, PEER, Rig } from './testing/rig.ts';
import { trialTunnel } from './tunnel.ts';
import { wayBetween } from './way.ts';

const THROUGH = { small: true, large: true };
const LOST = { small: false, large: false };
const { signal } = new AbortController();

function toolsOf(rig: Rig, name: string): PathTools {
  const send: PathTools['send'] = ({ here, there }) =>
    rig.send(name, here, there, PATH_PORT, Object.values(PATH_SIZES));
  return { run: rig.run(name), signal, send };
}

/** From S to T, as a migration would try it. */
async function path(rig: Rig, force?: 'tunnel'): Promise<PathResult> {
  const [here, there] = await Promise.all([readNetwork(rig.run('S')), readNetwork(rig.run('T'))]);
  const way = wayBetween(here, there, { bridges: [BRIDGE], ...(force && { force }) });
  if (way === null) throw new Error('no way');
  const end = (role: PathEnd['role']): PathEnd => {
    const tunnel = way.tunnel && trialTunnel(way.tunnel[role], role);
    const hop = { ...way.hop[role], ...(tunnel && { device: tunnel.device }) };
    return { role, hop, ...(tunnel && { tunnel }), workload: CONTAINER[4], client: '10.9.0.9' };
  };
  const result = await tryPath(toolsOf(rig, 'S'), end('source'), () => answerPath(toolsOf(rig, 'T'), end('target')));
  for (const name of ['S', 'T']) expect(await leftOvers(rig.run(name))).toEqual([]);
  return result;
}

/** A table that is not ours. */
async function filter(rig: Rig, at: string, family: string, hook: string, rule: string): Promise<void> {
  const table = `table ${family} theirs {\nchain c {\ntype filter hook ${hook} priority -700\n${rule}\n}\n}\n`;
  await rig.run(at)('nft', ['-f', '-'], { input: table });
}

it('packets get through on one network, past the packet filters that Docker has', async () => {
  await using rig = await Rig.make(['S', 'T']);
  expect(await path(rig)).toEqual({ there: THROUGH, back: THROUGH });
});

it('a filter below the IP stack, or a switch that knows its addresses, is seen; a tunnel gets through', async () => {
  await using rig = await Rig.make(['S', 'T']);
  await filter(
    rig,
    'N',
    'bridge',
    'forward',
    'ip daddr { 10.9.0.0/24 } ip saddr { 10.9.0.0/24 } accept\nmeta protocol ip drop',
  );
  expect(await path(rig)).toEqual({ there: LOST, back: LOST });
  expect(await path(rig, 'tunnel')).toEqual({ there: THROUGH, back: THROUGH });
});

it('a filter of the target that drops one way only', async () => {
  await using rig = await Rig.make(['S', 'T']);
  await filter(rig, 'T', 'netdev', 'ingress device "eth0"', `ip daddr ${CONTAINER[4]} drop`);
  expect(await path(rig)).toEqual({ there: LOST, back: THROUGH });
});

it('with a router between: a firewall that drops the port of the tunnel, or fragments', async () => {
  await using rig = await Rig.make(['S', 'T'], { routed: ['T'] });
  expect(await path(rig)).toEqual({ there: THROUGH, back: THROUGH });
  await filter(rig, 'T', 'ip', 'prerouting', 'ip frag-off & 0x3fff != 0 drop');
  expect(await path(rig)).toEqual({ there: { small: true, large: false }, back: THROUGH });
  await rig.run('T')('nft', ['flush', 'ruleset']);
  await filter(rig, 'T', 'ip', 'input', 'udp dport 4788 drop');
  expect(await path(rig)).toEqual({ there: LOST, back: THROUGH });
});

it('where this host lets nothing of its own out, nothing is known of what others would', async () => {
  await using rig = await Rig.make(['S', 'T']);
  await filter(rig, 'S', 'ip', 'output', 'drop');
  expect(await path(rig)).toEqual({ there: undefined, back: THROUGH });
});

it('what one that was killed has left is removed', async () => {
  await using rig = await Rig.make(['S', 'T'], { routed: ['T'] });
  const [here, there] = await Promise.all([readNetwork(rig.run('S')), readNetwork(rig.run('T'))]);
  const way = wayBetween(here, there, { bridges: [BRIDGE] });
  const tunnel = way?.tunnel && trialTunnel(way.tunnel.source, 'source');
  if (tunnel === undefined) throw new Error('no tunnel');
  const hop = { device: tunnel.device, via: { 4: '169.254.231.1' } };
  const end: PathEnd = { role: 'source', hop, tunnel, workload: CONTAINER[4], client: '10.9.0.9' };
  const { promise: never } = Promise.withResolvers<never>();
  const trial = tryPath(toolsOf(rig, 'S'), end, () => never);
  trial.catch(() => {});
  await expect.poll(async () => (await leftOvers(rig.run('S'))).length, { timeout: 5000 }).toBe(4);
  await removePaths(rig.run('S'));
  expect(await leftOvers(rig.run('S'))).toEqual([]);
});

it('who answers for an address on a bridge', async () => {
  await using rig = await Rig.make(['S', 'T']);
  await rig.container('P', 'T', PEER);
  const common = { mac: '02:00:00:00:00:01', bridge: 'elsewhere', peers: [] };
  const addresses = ([4, 6] as const).flatMap((family) =>
    [CONTAINER, PEER].map((one) => ({ ...common, address: one[family], subnet: '' })),
  );
  const { run } = rig.host('T');
  const questions = questionsFor(addresses, await readNetwork(run));
  expect(questions.map(({ device }) => device)).toEqual(addresses.map(() => BRIDGE));
  expect((await answered(run, questions)).sort()).toEqual([PEER[4], PEER[6]].sort());
  // Its own answer, where both hosts' bridges are one network.
  const mac = (await rig.addresses('P'))[0]?.mac ?? '';
  expect(
    await answered(
      run,
      questions.map((one) => ({ ...one, mac })),
    ),
  ).toEqual([]);
  expect((await run('ip', ['neighbour', 'show'])).stdout).not.toContain(CONTAINER[4]);
});

it('this kernel takes what forwards are made of; without nft it is said, whatever else is there', async () => {
  await using rig = await Rig.make(['S']);
  const { run } = rig.host('S');
  const able = { forwardRefused: null, egressRefused: null, queueRefused: null, tunnelRefused: null };
  expect(await probeTraffic(run)).toEqual({ nft: expect.stringMatching(/^\d+\.\d/), ...able });
  expect(await leftOvers(run)).toEqual([]);
  const missing = runner();
  const without: typeof run = (program, ...rest) =>
    program === 'nft' ? missing('/nowhere/nft', ...rest) : run(program, ...rest);
  const refused = expect.stringContaining('nft cannot be started');
  expect(await probeTraffic(without)).toEqual({ ...able, nft: null, forwardRefused: refused, egressRefused: refused });
});
