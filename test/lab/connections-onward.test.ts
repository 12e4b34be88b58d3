/** A workload moves on, and each host that it was on forwards straight to where it is; then forwards as users handle them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, serve } from './clients.ts';
import { docker, forwards, Pair, running, trafficOf } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const clients = new Map<string, Client>();
  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
    const { lab, a, b } = pair;
    const c = lab.host('c');
    await docker(a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    await serve(a, ['--network', 'shop', '--ip', '172.30.0.10', '-p', '8007:7']);
    for (const host of [a, b, c]) {
      clients.set(host.name, await Client.open(host, 'count', { host: a.address, port: 8007 }));
    }
    await pair.move(a, 'web', '--remove');
    clients.set('of b', await Client.open(a, 'count', { host: b.address, port: 8007 }));
    await pair.moveTo(b, c, 'web', '--remove');
  });
  afterAll(async () => {
    for (const client of clients.values()) client.kill();
    await pair.clear();
    const c = pair.lab.host('c');
    await docker(c, 'rm', '-f', 'web');
    for (const { id } of await forwards(c)) await c.run('drayage', ['forwards', 'rm', id]);
    await docker(c, 'network', 'prune', '-f');
  });

  test('each host forwards to where it is', async () => {
    const { lab, a, b } = pair;
    const c = lab.host('c');
    expect(await running(c)).toEqual(['web']);
    const [first, second] = [await forwards(a), await forwards(b)];
    expect(first).toMatchObject([{ role: 'source', peer: 'root@c' }]);
    expect(second).toMatchObject([{ role: 'source', peer: 'root@c' }]);
    const ids = new Set([...first, ...second].map(({ id }) => id));
    expect(new Set((await forwards(c)).map(({ id, role }) => `${role} ${id}`))).toEqual(
      new Set([...ids].map((id) => `target ${id}`)),
    );
    const [through] = second.map(({ packets }) => packets ?? 0);
    for (const { address } of [a, b]) {
      const client = await Client.open(lab.host(address === a.address ? 'b' : 'a'), 'late', {
        host: address,
        port: 8007,
      });
      expect(await client.end()).toEqual({ answer: 'hi\n' });
    }
    expect((await forwards(b))[0]?.packets).toBeGreaterThan(through ?? 0);
  });

  test.each(['of b', 'a', 'b', 'c'])('a client on %s goes on', async (name) => {
    const { longestGapMs: _, ...seen } = await (clients.get(name) as Client).end();
    expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
  });

  test('repair puts a forward in place again, and rm takes it away', async () => {
    const { lab, a } = pair;
    const [{ id } = { id: '' }] = await forwards(a);
    const [table = ''] = (await trafficOf(a)).tables;
    const ask = () =>
      Client.open(lab.host('b'), 'late', { host: a.address, port: 8007 }).then((client) => client.end());
    await a.run('nft', ['delete', 'table', 'netdev', table]);
    await expect(ask()).rejects.toThrow(/refused/);
    await a.run('drayage', ['forwards', 'repair', id]);
    expect(await ask()).toEqual({ answer: 'hi\n' });
    await a.run('drayage', ['forwards', 'rm', id]);
    expect(await forwards(a)).toEqual([]);
    expect(await trafficOf(a)).toEqual({ tables: [], devices: [] });
    await expect(ask()).rejects.toThrow(/refused/);
  });
});
