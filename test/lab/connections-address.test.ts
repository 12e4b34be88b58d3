/** On the default bridge the engine chooses addresses: a copy may get another one, as its own is somebody else's there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, serve } from './clients.ts';
import { docker, Pair, running } from './harness.ts';
import { DOCKERS } from './setup.ts';

const ADDRESS = '{{.NetworkSettings.Networks.bridge.IPAddress}}';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const clients = new Map<string, Client>();
  let [old, other] = ['', ''];

  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.lab.image('python', ['b']);
    await pair.clear();
    const { a, b, lab } = pair;
    const c = lab.host('c');
    const ports = ['-p', '8007:7', '-p', '8007:7/udp', '-p', '8009:9'];
    await serve(b, ['-p', '9007:7'], { name: 'other' });
    await serve(a, ports);
    [old, other] = [
      await docker(a, 'inspect', '-f', ADDRESS, 'web'),
      await docker(b, 'inspect', '-f', ADDRESS, 'other'),
    ];
    const open = async (name: string, kind: 'count' | 'drain' | 'datagrams', address: string, port: number) => {
      clients.set(name, await Client.open(c, kind, { host: address, port }));
    };
    await open('published port', 'count', a.address, 8007);
    await open('full send queue', 'drain', a.address, 8009);
    await open('datagrams', 'datagrams', a.address, 8007);
    await open('whose address it is', 'count', b.address, 9007);
    const local = await Client.open(b, 'count', { host: other, port: 7 });
    clients.set('whose address it is, from its host', local);
    await pair.move(a, 'web', '--remove');
    // The address is free again, and goes to the next one.
    await docker(a, 'run', '-d', '--name', 'next', '-p', '9009:7', '--pull=never', 'python', 'sleep', 'infinity');
  });

  afterAll(async () => {
    for (const client of clients.values()) client.kill();
    await pair.clear();
  });

  test('the copy has another address', async () => {
    const { b } = pair;
    expect(old).toBe(other);
    expect((await running(b)).sort()).toEqual(['other', 'web']);
    expect(await docker(b, 'inspect', '-f', ADDRESS, 'web')).not.toBe(old);
  });

  test('a client that comes afterwards', async () => {
    const { lab, a, b } = pair;
    for (const { address } of [a, b]) {
      const client = await Client.open(lab.host('c'), 'late', { host: address, port: 8007 });
      expect(await client.end()).toEqual({ answer: 'hi\n' });
    }
  });

  test('it reaches others by its own address', async () => {
    const { lab, b } = pair;
    const c = lab.host('c');
    const server = await Client.open(c, 'serve', { host: '0.0.0.0', port: 9007 });
    const asked = Client.open(b, 'late', { host: c.address, port: 9007, wrap: ['docker', 'exec', '-i', 'web'] });
    expect(await (await asked).end()).toEqual({ answer: 'hi\n' });
    server.kill();
  });

  test.each([...['published port', 'whose address it is', 'whose address it is, from its host']])(
    '%s',
    async (name) => {
      const { longestGapMs: _, ...seen } = await (clients.get(name) as Client).end();
      expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
    },
  );

  test('full send queue', async () => {
    expect(await (clients.get('full send queue') as Client).end()).toMatchObject({ whole: true });
  });

  test('datagrams', async () => {
    const { sent: _, reordered: __, ...seen } = await (clients.get('datagrams') as Client).end();
    expect(seen).toEqual({ foreign: 0, errors: 0, repeated: 0, missing: [] });
  });
});
