/** Forwards outlive their agents, and a reboot of either host. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Client, serve } from './clients.ts';
import { docker, forwards, Pair, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['python']);
    await pair.clear();
    await docker(pair.a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    await serve(pair.a, ['--network', 'shop', '--ip', '172.30.0.10', '-p', '8007:7', '--restart', 'always']);
  });
  afterAll(() => pair.clear());

  test('agents that are killed: an open connection notices nothing, and the forward is told as before', async () => {
    const { a, b } = pair;
    const client = await count();
    await pair.move(a, 'web', '--remove');
    const before = await known();
    for (const host of [a, b]) {
      const pid = await agentOf(host);
      await host.kill9('drayage-agent');
      await until('it is another one', async () => (await agentOf(host)) !== pid);
    }
    await pair.ready();
    const { longestGapMs: _, ...seen } = await client.end();
    expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
    expect(await known()).toEqual(before);
  });

  test.each(['a', 'b'])('a reboot of %s', async (name) => {
    const before = await known();
    await pair.lab.restartHost(name);
    pair = await Pair.of(version);
    await pair.ready();
    await until('it is forwarded', async () => (await ask()) === 'hi\n');
    expect(await running(pair.b)).toEqual(['web']);
    expect(await known()).toEqual(before);
  });

  test('and then it comes home', async () => {
    const client = await count();
    await pair.move(pair.b, 'web', '--remove');
    const { longestGapMs: _, ...seen } = await client.end();
    expect(seen).toEqual({ sent: seen.sent, received: seen.sent });
    await until('no forward is left', async () => (await known()).length === 0);
  });

  function count(): Promise<Client> {
    return Client.open(pair.lab.host('c'), 'count', { host: pair.a.address, port: 8007 });
  }

  async function ask(): Promise<string | undefined> {
    const client = await Client.open(pair.lab.host('c'), 'late', { host: pair.a.address, port: 8007 });
    return (await client.end()).answer;
  }

  async function known(): Promise<object[]> {
    const all = [...(await forwards(pair.a)), ...(await forwards(pair.b))];
    return all.map(({ id, role, peer, workload }) => ({ id, role, peer, workload }));
  }
});

async function agentOf(host: LabHost): Promise<string> {
  return (await host.run('cat', ['/run/drayage-supervisor/drayage-agent.pid'])).stdout;
}
