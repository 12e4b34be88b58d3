/** Real packets, in network namespaces of the test's own; needs root. */
import { expect, it } from 'vitest';
import { parseDevices } from '../tools/ip-network.ts';
import { applyNft, removeTable } from '../tools/nft.ts';
import { copySealScript, openArrival, removeArrival, sealArrival } from './address-arrival.ts';
import {
  addressMove,
  followAddress,
  giveUpAddress,
  holdAddress,
  holdNewToAddress,
  letSpeak,
  prepareAddress,
  removeAddress,
  returnAddress,
  silence,
} from './address-move.ts';
import { announce, prepareAnnouncement } from './announce.ts';
import { leftOvers } from './forward.ts';
import { readHold } from './hold.ts';
import { tableName } from './names.ts';
import type { OwnDevice } from './own-device.ts';
import { pause } from './testing/moves.ts';
import { Rig } from './testing/rig.ts';

const W = { 4: '10.9.0.50', 6: 'fd09::50', mac: '02:42:0a:09:00:32' };
const P = { 4: '10.9.0.51', 6: 'fd09::51', mac: '02:42:0a:09:00:33' };
const OWN: OwnDevice = { network: 'lan', device: 'eth0', mac: W.mac, addresses: [W[4], W[6]], parent: 'eth0' };

/** A client K, the workload W and its neighbour P below S. */
async function lan() {
  const rig = await Rig.make(['K', 'S', 'T']);
  try {
    await rig.lanContainer('W', 'S', W);
    await rig.lanContainer('P', 'S', P);
    return { rig, server: await rig.serve('W'), [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
  } catch (error) {
    await rig[Symbol.asyncDispose]();
    throw error;
  }
}

it('the address moves: connections live on, and neighbours find it', async () => {
  await using hosts = await lan();
  const { rig, server } = hosts;
  const [s, t, inside] = [rig.run('S'), rig.run('T'), rig.run('W')];
  const counting = [
    await rig.count('K', W[4], 80),
    await rig.count('K', W[6], 80),
    await rig.count('P', W[4], 80),
    await rig.count('P', W[6], 80),
  ];
  expect(await portOf(rig)).toBe('p-S');
  const move = await addressMove(s, 'm', [OWN]);
  const leaving = await prepareAddress(s, inside, move);
  await sealArrival(t, move);

  const from = performance.now();
  await holdNewToAddress(s, leaving);
  await holdAddress(s, inside, leaving);
  server.kill('SIGSTOP');
  await silence(inside, leaving);
  // A client that comes now has its answer afterwards; and one that has to ask for the address finds it meanwhile.
  const asked = rig.ask('K', 'tcp', W[4], 80);
  const forgetful = rig
    .run('K')('ip', ['neighbour', 'flush', 'all'])
    .then(() => rig.ask('K', 'udp', W[4], 53));
  await pause(200);
  const held = await readHold(s, leaving.held);
  expect(held.packets).toBeGreaterThan(20);
  expect(held.dropped).toBe(0);
  await giveUpAddress(s, inside, leaving);

  // The sockets stay, as those of a perfect restore would; the device hangs on the other host. Rules of the old one would
  // take hold of a new one of that name (Linux 6.16).
  await applyNft(
    inside,
    `${removeTable({ family: 'netdev', name: tableName('own', move.id) })}\n${copySealScript(move)}`,
  );
  await inside('ip', ['link', 'delete', 'eth0']);
  await rig.hang('W', 'T', W);
  expect(await portOf(rig)).toBe('p-S');
  await prepareAnnouncement(inside, [OWN]);
  await openArrival(t, inside, move);
  server.kill('SIGCONT');
  await announce(inside, [OWN]);
  expect(await portOf(rig)).toBe('p-T');
  await followAddress(s, undefined, leaving);
  const heldMs = performance.now() - from;

  expect(await asked).toMatchObject({ answer: 'W hi' });
  expect(await forgetful).toMatchObject({ answer: 'W hi' });
  const late = await Promise.all([rig.ask('K', 'udp', W[6], 53), rig.ask('P', 'tcp', W[4], 80)]);
  expect(late).toMatchObject([{ answer: 'W hi' }, { answer: 'W hi' }]);
  const results = await Promise.all(counting.map((one) => one.end()));
  for (const result of results) expect(result).not.toHaveProperty('error');
  // Else it was over before the freeze, and proves nothing.
  for (const { longestMs } of results) expect(longestMs).toBeGreaterThan(200);
  // What neighbours on the same parent sent meanwhile was dropped.
  for (const { longestMs } of results.slice(0, 2)) expect(longestMs).toBeLessThan(heldMs + 60);
  await expectTrueNeighbours(rig);
  await removeAddress(s, undefined, leaving);
  await removeArrival(t, inside, move);
  expect([await leftOvers(s), await leftOvers(t), await leftOvers(inside)]).toEqual([[], [], []]);
});

it('an undone move: what waited is delivered here, the switch has learned nothing else, and nothing is left', async () => {
  await using hosts = await lan();
  const { rig, server } = hosts;
  const [s, inside] = [rig.run('S'), rig.run('W')];
  const counting = [await rig.count('K', W[4], 80), await rig.count('K', W[6], 80)];
  const leaving = await prepareAddress(s, inside, await addressMove(s, 'm', [OWN]));
  const from = performance.now();
  await holdAddress(s, inside, leaving);
  server.kill('SIGSTOP');
  await silence(inside, leaving);
  await pause(200);
  await giveUpAddress(s, inside, leaving);
  expect(await rig.ask('T', 'udp', W[4], 53)).toEqual({ error: 'timeout' });
  await letSpeak(inside, leaving);
  server.kill('SIGCONT');
  await returnAddress(s, inside, leaving);
  const heldMs = performance.now() - from;
  const results = await Promise.all(counting.map((one) => one.end()));
  for (const result of results) {
    expect(result).not.toHaveProperty('error');
    expect(result.longestMs).toBeLessThan(heldMs + 60);
  }
  expect(await rig.ask('T', 'udp', W[4], 53)).toMatchObject({ answer: 'W hi' });
  expect(await portOf(rig)).toBe('p-S');
  await expectTrueNeighbours(rig);
  expect([await leftOvers(s), await leftOvers(inside)]).toEqual([[], []]);
});

/** Behind which port the switch believes the workload. */
async function portOf(rig: Rig): Promise<string | undefined> {
  const { stdout } = await rig.run('N')('bridge', ['-json', 'fdb', 'show', 'br', 'sw']);
  const entries = JSON.parse(stdout) as { mac: string; ifname: string }[];
  return entries.find(({ mac }) => mac === W.mac)?.ifname;
}

/** What the client believes of its neighbours is so: nothing that a lane sent got out. */
async function expectTrueNeighbours(rig: Rig): Promise<void> {
  const { stdout } = await rig.run('K')('ip', ['-json', '-4', 'neighbour', 'show']);
  const known = JSON.parse(stdout) as { dst: string; lladdr?: string }[];
  const macOf = async (host: string): Promise<string | undefined> => {
    const { stdout: devices } = await rig.run(host)('ip', ['-json', '-details', 'address', 'show', 'dev', 'eth0']);
    return parseDevices(devices)[0]?.mac;
  };
  const truth: Record<string, string | undefined> = { [W[4]]: W.mac, '10.9.0.1': await macOf('S') };
  for (const { dst, lladdr } of known) if (lladdr !== undefined && dst in truth) expect(lladdr).toBe(truth[dst]);
  expect(known.find(({ dst }) => dst === W[4])?.lladdr).toBe(W.mac);
}
