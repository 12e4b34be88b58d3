/** Real packets, in network namespaces of the test's own; needs root. */
import { expect, it } from 'vitest';
import { ProgramError, type Run } from '../exec/run.ts';
import { scratch } from '../files/testing/rig.ts';
import { readNeighbours, readNetwork } from '../tools/ip-network.ts';
import { armedRules, leftOvers, readSource, remainingRules, removeSource, removeTarget } from './forward.ts';
import { armTarget, endHold, hold, prepareHold, readHold, releaseToSource, releaseToTarget } from './hold.ts';
import { carried, ForwardStore, reinstall, removeForward } from './store.ts';
import { commit, freeze, hostsWithWorkload, pause, prepare } from './testing/moves.ts';
import { BRIDGE, CONTAINER, PEER } from './testing/rig.ts';

it('an undone hold: what waited is delivered here, and nothing is left', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  const s = rig.host('S');
  const counting = [
    await rig.count('K', '10.9.0.1', 8080),
    await rig.count('K', 'fd09::1', 8080),
    await rig.count('P', CONTAINER[4], 80),
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
  const results = await Promise.all(counting.map((one) => one.end()));
  for (const result of results) {
    expect(result).not.toHaveProperty('error');
    expect(result.longestMs).toBeLessThan(heldMs + 60);
  }
  expect(await leftOvers(s.run)).toEqual([]);
});

/** Of the connections below the first are those of clients; then neighbours', and the workload's own. */
const [CLIENTS, ALL] = [2, 6];

for (const routed of [[], ['T']]) {
  it(`a committed move, ${routed.length === 0 ? 'on one layer-2 network' : 'with a router between'}: connections live on, new ones are made, peers find it`, async () => {
    await using hosts = await hostsWithWorkload(['S', 'T'], { routed });
    const { rig, server } = hosts;
    const [s, t] = [rig.host('S'), rig.host('T')];
    await rig.serve('K');
    const counting = [
      await rig.count('K', '10.9.0.1', 8080),
      await rig.count('K', 'fd09::1', 8080),
      await rig.count('P', CONTAINER[4], 80),
      await rig.count('P', CONTAINER[6], 80),
      // Opened by the workload itself, and known abroad by an address of the source.
      await rig.count('W', '10.9.0.9', 80),
      await rig.count('W', 'fd09::9', 80),
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
    const results = await Promise.all(counting.map((one) => one.end()));
    for (const result of results) expect(result).not.toHaveProperty('error');
    expect(results).toHaveLength(ALL);
    // Else it was over before the freeze, and proves nothing.
    for (const { longestMs } of results) expect(longestMs).toBeGreaterThan(200);
    // A cable is moved a moment too early for neighbours, and does not stop the programs whose connections these are:
    // what they send in that moment is lost, and sent again.
    for (const { longestMs } of results.slice(0, CLIENTS)) expect(longestMs).toBeLessThan(heldMs + 60);
    expect((await readSource(s.run, move.source.id))?.toTarget.packets).toBeGreaterThan(100);
    await removeSource(s.run, move.source);
    await removeTarget(t.run, move.target);
    expect(await leftOvers(s.run)).toEqual([]);
    expect(await leftOvers(t.run)).toEqual([]);
  });
}

it('an earlier forward of the same addresses ends, and programs of the host go on finding the workload', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  const move = await freeze(rig, 'S', await prepare(rig, 'S', 'T'));
  server.kill('SIGSTOP');
  await commit(rig, 'S', 'T', move, server);
  // Of before it came home and left again: its stand-in went when it came.
  await removeSource(rig.run('S'), { ...move.source, id: 'earlier' });
  const fixed = (await readNeighbours(rig.run('S'))).filter(({ state }) => state === 'PERMANENT');
  expect(fixed.map(({ address }) => address)).toEqual(expect.arrayContaining(Object.values(CONTAINER)));
  // Hosts that have just moved something know each other; here nobody has asked for T yet.
  await rig.ask('K', 'tcp', '10.9.0.1', 8080);
  expect(await rig.ask('S', 'tcp', CONTAINER[4], 80)).toMatchObject({ answer: 'W hi' });
});

it('reverse path filters, however strict, and a target without routes to anybody hinder nobody', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  for (const name of ['S', 'T']) {
    const devices = ['all', 'default', 'eth0', BRIDGE].map((device) => `net.ipv4.conf.${device}.rp_filter=1`);
    await rig.run(name)('sysctl', ['-qw', ...devices]);
  }
  await rig.run('T')('ip', ['route', 'delete', 'default']);
  // A client that the source alone has a way to.
  await rig.run('K')('ip', ['address', 'add', '10.8.0.9/32', 'dev', 'lo']);
  await rig.run('S')('ip', ['route', 'add', '10.8.0.0/24', 'via', '10.9.0.9']);
  const counting = [
    await rig.count('K', '10.9.0.1', 8080),
    await rig.count('P', CONTAINER[4], 80),
    await rig.count('S', CONTAINER[4], 80),
    await rig.count('S', '10.9.0.1', 8080),
  ];
  const move = await freeze(rig, 'S', await prepare(rig, 'S', 'T'));
  server.kill('SIGSTOP');
  await pause(100);
  await commit(rig, 'S', 'T', move, server);
  await rig.run('K')('ip', ['route', 'replace', '10.9.0.1/32', 'dev', 'eth0', 'src', '10.8.0.9']);
  const answers = await Promise.all([
    rig.ask('K', 'tcp', '10.9.0.1', 8080),
    rig.ask('K', 'udp', '10.9.0.1', 5353),
    rig.ask('P', 'tcp', CONTAINER[4], 80),
    rig.ask('P', 'tcp', '10.9.0.1', 8080),
    rig.ask('S', 'tcp', CONTAINER[4], 80),
    rig.ask('S', 'tcp', '10.9.0.1', 8080),
    rig.ask('S', 'udp', CONTAINER[4], 53),
    rig.ask('W', 'tcp', PEER[4], 80),
  ]);
  for (const one of counting) expect(await one.end()).not.toHaveProperty('error');
  expect(answers.map(({ answer, error }) => answer ?? error)).toEqual([
    ...Array(7).fill('W hi'),
    'connect ECONNREFUSED 172.31.9.20:80',
  ]);
});

it('a kernel that cannot queue drops, one without a hook behind bridges holds what comes from outside, and connections live on', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  const counting = await rig.count('K', '10.9.0.1', 8080);
  const prepared = await prepare(rig, 'S', 'T');
  const refusing: Run = async (program, args, options) => {
    const refused = program === 'tc' ? /tbf/ : /hook egress/;
    if (refused.test(String(options?.input))) throw new ProgramError(program, 'refused', 1, '', '');
    return rig.run('S')(program, args, options);
  };
  const held = await prepareHold(refusing, { ...prepared.held.spec, egress: false });
  expect(held.how).toBe('drop');
  const move = await freeze(rig, 'S', { ...prepared, held });
  server.kill('SIGSTOP');
  await pause(100);
  expect((await readHold(rig.run('S'), move.held)).dropped).toBeGreaterThan(0);
  await commit(rig, 'S', 'T', move, server);
  expect(await rig.ask('K', 'tcp', '10.9.0.1', 8080)).toMatchObject({ answer: 'W hi' });
  expect(await counting.end()).not.toHaveProperty('error');
});

it('when the frozen copy is killed, its clients are told nothing', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  await rig.count('K', '10.9.0.1', 8080);
  const move = await freeze(rig, 'S', await prepare(rig, 'S', 'T'));
  const network = await readNetwork(rig.run('S'));
  const present = network.devices.map(({ name }) => name);
  await armTarget(rig.run('S'), armedRules(move.source, network, move.held.lanes));
  await releaseToTarget(rig.run('S'), move.held);
  await endHold(rig.run('S'), move.held, remainingRules(move.source, network, move.held.lanes), present);
  server.kill('SIGKILL');
  await server.ended;
  await pause(300);
  const { stdout } = await rig.run('K')('ss', ['-tnH', 'state', 'established', 'dport', '=', ':8080']);
  expect(stdout).toContain('10.9.0.1:8080');
});

it('after a reboot both sides are put in place again, once their bridges are there', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  using directory = scratch();
  const move = await freeze(rig, 'S', await prepare(rig, 'S', 'T'));
  await commit(rig, 'S', 'T', move, server);
  const stores = { S: new ForwardStore(`${directory.path}/S`), T: new ForwardStore(`${directory.path}/T`) };
  const common = { version: 1, id: move.source.id, workload: 'docker:web', since: 5 } as const;
  const [s, t] = [
    {
      ...common,
      role: 'source',
      side: move.source,
      before: { packets: 2, bytes: 80 },
      peer: { name: 'T', machine: '2' },
    },
    { ...common, role: 'target', side: move.target, peer: { name: 'S', machine: '1' } },
  ] as const;
  await Promise.all([stores.S.put(s), stores.T.put(t)]);
  await removeSource(rig.run('S'), move.source);
  await removeTarget(rig.run('T'), move.target);
  await rig.run('T')('ip', ['link', 'set', BRIDGE, 'down']);
  expect(await reinstall(rig.run('S'), stores.S)).toEqual([]);
  expect(await reinstall(rig.run('T'), stores.T)).toEqual([t]);
  expect(await reinstall(rig.run('T'), stores.T, { anyway: true })).toEqual([t]);
  await rig.run('T')('ip', ['link', 'set', BRIDGE, 'up']);
  expect(await reinstall(rig.run('T'), stores.T)).toEqual([]);
  expect(await rig.ask('K', 'tcp', '10.9.0.1', 8080)).toMatchObject({ answer: 'W hi' });
  expect((await carried(rig.run('S'), s)).packets).toBeGreaterThan(8);
  await removeForward(rig.run('S'), stores.S, s);
  await removeForward(rig.run('T'), stores.T, t);
  expect(await stores.S.list()).toEqual([]);
  await expect(stores.S.get('source', 'x')).rejects.toMatchObject({ code: 'FORWARD_UNKNOWN' });
  expect([...(await leftOvers(rig.run('S'))), ...(await leftOvers(rig.run('T')))]).toEqual([]);
});
