/** Connections that no program holds when a workload is to be frozen: in a full queue, or in the middle of a handshake. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Client, serve } from './clients.ts';
import { codes, docker, logs, Pair, running } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** More than the server's queue takes. */
const MANY = 8;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  let clients: Promise<Client>[] = [];
  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
  });
  beforeEach(async () => {
    clients = [];
    await serve(pair.a, ['-p', '8007:7', '-p', '8010:10']);
  });
  afterEach(async () => {
    for (const { status, ...one } of await Promise.allSettled(clients)) if ('value' in one) one.value.kill();
    await pair.lab.host('c').run('nft', ['destroy', 'table', 'ip', 'test']);
    await pair.clear();
  });

  test('a program that accepts slowly: it gets the time, and all are answered', async () => {
    const { a, b } = pair;
    await fill();
    await docker(a, 'exec', 'web', 'touch', '/tmp/accept');
    await pair.move(a, 'web', '--remove');
    expect(await running(b)).toEqual(['web']);
    expect(await answers()).toEqual(Array(MANY).fill('hi\n'));
    expect(await logs(b, 'web')).not.toContain('broken');
  });

  test('a program that does not accept: nothing is moved, and nobody is reset', async () => {
    const { a } = pair;
    await fill();
    const move = await pair.migrate(a, 'web');
    expect(codes(move)).toEqual(['NOT_ACCEPTED']);
    expect(move.result?.outcome).toBe('undone');
    expect(move.result?.error?.message).toMatch(/at port 10/);
    await docker(a, 'exec', 'web', 'touch', '/tmp/accept');
    expect(await answers()).toEqual(Array(MANY).fill('hi\n'));
    expect(await pair.leftovers()).toEqual([]);
  });

  test('clients that come all the time, and whose last packet of the handshake is lost once', async () => {
    const c = pair.lab.host('c');
    await c.run('sysctl', ['-q', 'net.netfilter.nf_conntrack_acct=1']);
    await lose(c, 'output tcp dport 8007 ct original packets 2');
    const visitors = await Client.open(c, 'visitors', { host: pair.a.address, port: 8007 });
    clients.push(Promise.resolve(visitors));
    await pause(1500);
    await pair.move(pair.a, 'web', '--remove');
    const { sent, ...seen } = await visitors.end();
    expect(sent).toBeGreaterThan(30);
    expect(seen).toEqual({ received: sent });
  });

  test('a client that hears nothing of the answer to its first packet until the workload has moved', async () => {
    const c = pair.lab.host('c');
    await lose(c, 'input tcp sport 8007');
    clients.push(open(8007));
    await pause(200);
    await pair.move(pair.a, 'web', '--remove');
    await find(c);
    expect(await answers()).toEqual(['hi\n']);
  });

  async function fill(): Promise<void> {
    clients = Array.from({ length: MANY }, () => open(8010));
    await pause(400);
  }

  function open(port: number): Promise<Client> {
    return Client.open(pair.lab.host('c'), 'late', { host: pair.a.address, port });
  }

  async function answers(): Promise<(string | undefined)[]> {
    return Promise.all(
      clients.map(async (client) => (await client).end().then(({ answer, error }) => answer ?? error)),
    );
  }
});

/** From now on a host loses such packets, until `find`. @param rule its hook, and what nft is to match */
async function lose(host: LabHost, rule: string): Promise<void> {
  const [hook = '', ...match] = rule.split(' ');
  const input = `table ip test {\nchain lost {\ntype filter hook ${hook} priority 0\n${match.join(' ')} drop\n}\n}\n`;
  await host.run('nft', ['-f', '-'], { input });
}

async function find(host: LabHost): Promise<void> {
  await host.run('nft', ['destroy', 'table', 'ip', 'test']);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
