/** Moves that follow each other, with real packets; needs root. */
import { expect, it } from 'vitest';
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Hop } from './facts.ts';
import {
  changeSource,
  flowsKnown,
  installTarget,
  isSpokenTo,
  leftOvers,
  readVia,
  removeSource,
  removeTarget,
  targetRules,
} from './forward.ts';
import { tableName } from './names.ts';
import { PATH_PORT, PATH_SIZES } from './path-rules.ts';
import { commit, freeze, hostsWithWorkload, type Move, pause, prepare } from './testing/moves.ts';
import { BRIDGE, CONTAINER, type Rig } from './testing/rig.ts';
import { wayBetween } from './way.ts';

async function hops(rig: Rig, a: string, b: string): Promise<{ there: Hop; back: Hop }> {
  const [one, other] = await Promise.all([readNetwork(rig.run(a)), readNetwork(rig.run(b))]);
  const way = wayBetween(one, other, { bridges: [BRIDGE] });
  if (way === null) throw new Error('no way');
  return { there: way.hop.source, back: way.hop.target };
}

it('from S to T to U: S forwards straight to U, and connections of every age live on', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T', 'U']);
  const { rig, server } = hosts;
  const first = await rig.count('K', '10.9.0.1', 8080);
  const prepared = await prepare(rig, 'S', 'T');
  const one = await freeze(rig, 'S', prepared);
  server.kill('SIGSTOP');
  await commit(rig, 'S', 'T', one, server);
  const second = await rig.count('K', '10.9.0.1', 8080);
  const third = await rig.count('K', 'fd09::2', 8080);

  const next = await prepare(rig, 'T', 'U');
  const passing = await readVia(rig.run('T'), one.target);
  expect(passing.length).toBe(2);
  const two = await freeze(rig, 'T', next, passing);
  expect(two.source.flows.map(({ peer }) => peer)).toEqual(['fd09::9']);
  server.kill('SIGSTOP');
  const [straight, onward] = await Promise.all([hops(rig, 'S', 'U'), hops(rig, 'T', 'U')]);
  await installTarget(rig.run('U'), { ...one.target, flows: passing, hop: straight.back, rank: 0 });
  const relayed = { ...one.target, flows: passing, onward: onward.there };
  const ranked: Move = { ...two, target: { ...two.target, rank: 1 } };
  await commit(rig, 'T', 'U', ranked, server, (network, lanes) => targetRules(relayed, network, lanes));
  await pause(200);
  const repointed = { ...one.source, hop: straight.there };
  const flows = await flowsKnown(rig.run('S'), one.source, passing);
  await changeSource(rig.run('S'), { ...repointed, flows });
  await removeTarget(rig.run('T'), one.target);

  const answers = await Promise.all(
    ['10.9.0.1', 'fd09::1', '10.9.0.2', '10.9.0.3'].map((host) => rig.ask('K', 'tcp', host, 8080)),
  );
  expect(answers.map(({ answer, error }) => answer ?? error)).toEqual(answers.map(() => 'W hi'));
  for (const one of [first, second, third]) expect(await one.end()).not.toHaveProperty('error');
  await removeSource(rig.run('S'), repointed);
  await removeSource(rig.run('T'), two.source);
  await removeTarget(rig.run('U'), one.target);
  await removeTarget(rig.run('U'), two.target);
  for (const name of ['S', 'T', 'U']) expect(await leftOvers(rig.run(name))).toEqual([]);
});

it('from S to T and home: connections of both times live on, new ones are no concern of ours', async () => {
  await using hosts = await hostsWithWorkload(['S', 'T']);
  const { rig, server } = hosts;
  const first = await rig.count('K', '10.9.0.1', 8080);
  const one = await freeze(rig, 'S', await prepare(rig, 'S', 'T'));
  server.kill('SIGSTOP');
  await commit(rig, 'S', 'T', one, server);
  const second = await rig.count('K', '10.9.0.1', 8080);
  const third = await rig.count('K', '10.9.0.2', 8080);
  const spoken = ['udp', '10.9.0.1', 5353, 7777] as const;
  expect(await rig.ask('K', ...spoken)).toMatchObject({ answer: 'W hi' });
  await rig.run('K')('ip', ['route', 'add', CONTAINER[4], 'via', '10.9.0.1']);
  await rig.send('K', '10.9.0.9', CONTAINER[4], PATH_PORT, [PATH_SIZES.small]);

  const next = await prepare(rig, 'T', 'S');
  const passing = await readVia(rig.run('T'), one.target);
  expect(passing.map(({ protocol, port }) => `${protocol} ${port}`).sort()).toEqual(['tcp 80', 'tcp 80', 'udp 53']);
  const two = await freeze(rig, 'T', next, passing);
  server.kill('SIGSTOP');
  const back: Move = { ...two, source: { ...two.source, only: 'open' }, target: { ...two.target, rank: 1 } };
  const flows = await flowsKnown(rig.run('S'), one.source, passing);
  const onward = await hops(rig, 'T', 'S');
  const relayed = { ...one.target, flows: passing, onward: onward.there };
  const home = { ...one.source, hop: 'home', only: 'open', flows } as const;
  await changeSource(rig.run('S'), home);
  await commit(rig, 'T', 'S', back, server, (network, lanes) => targetRules(relayed, network, lanes));
  await removeTarget(rig.run('T'), one.target);

  expect(await rig.ask('K', 'tcp', '10.9.0.1', 8080)).toMatchObject({ answer: 'W hi' });
  expect(await rig.ask('K', 'tcp', '10.9.0.2', 8080)).toHaveProperty('error');
  for (const one of [first, second, third]) expect(await one.end()).not.toHaveProperty('error');
  expect(await isSpokenTo(rig.run('S'), home)).toBe(true);
  const isHeard = await forgetSoon(rig.run('S'), home.id, '10.9.0.9 . udp . 7777');
  expect(await rig.ask('K', ...spoken)).toMatchObject({ answer: 'W hi' });
  expect(await isHeard()).toBe(true);
  await changeSource(rig.run('S'), { ...home, flows: flows.filter(({ protocol }) => protocol === 'tcp') });
  expect(await isSpokenTo(rig.run('S'), home)).toBe(false);
  await removeSource(rig.run('S'), one.source);
  await removeTarget(rig.run('S'), two.target);
  await removeSource(rig.run('T'), two.source);
  for (const name of ['S', 'T']) expect(await leftOvers(rig.run(name))).toEqual([]);
});

/** As if the client had not spoken for nearly three minutes. @returns whether it has been heard since */
async function forgetSoon(run: Run, id: string, client: string): Promise<() => Promise<boolean>> {
  const table = tableName('source', id);
  const listed = async () => (await run('nft', ['list', 'table', 'netdev', table])).stdout;
  const set = new RegExp(`set (open_\\S+) \\{[^}]*elements = \\{ ${client} `).exec(await listed())?.[1];
  const element = (what: string): string => `element netdev ${table} ${set} { ${client}${what} }\n`;
  await run('nft', ['-f', '-'], { input: `delete ${element('')}` });
  await run('nft', ['-f', '-'], { input: `add ${element(' timeout 30s')}` });
  const isHeard = async () =>
    new RegExp(`${client} [^,}]*expires 2m`).test((await listed()).split(`set ${set} `)[1] ?? '');
  expect(await isHeard()).toBe(false);
  return isHeard;
}
