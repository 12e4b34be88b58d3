/** Real packets, in network namespaces of the test's own; needs root. */
import { expect, it } from 'vitest';
import { leftOvers, readSource, removeSource, removeTarget } from './forward.ts';
import { hold, readHold, releaseToSource } from './hold.ts';
import { commit, freeze, hostsWithWorkload, pause, prepare } from './testing/moves.ts';
import { CONTAINER } from './testing/rig.ts';

it('an undone hold: what waited is delivered here, and nothing is left', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
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
    await using hosts = await hostsWithWorkload(['S', 'T'], { routed });
    const { rig, server } = hosts;
    const [s, t] = [rig.host('S'), rig.host('T')];
    await rig.serve('K');
    const counting = [
      await rig.count('K', '10.9.0.1', 8080, 2500),
      await rig.count('K', 'fd09::1', 8080, 2000),
      await rig.count('P', CONTAINER[4], 80, 1600),
      await rig.count('P', CONTAINER[6], 80, 1200),
      // Opened by the workload itself, and known abroad by an address of the source.
      await rig.count('W', '10.9.0.9', 80, 1000),
      await rig.count('W', 'fd09::9', 80, 800),
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
