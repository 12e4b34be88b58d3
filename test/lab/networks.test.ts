/** User-defined networks: made on the target where they are missing, used where they are there, and taken back. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { differences } from '../../src/engines/docker/compare.ts';
import { codes, counts, docker, inspect, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter']);
    await pair.lab.image('counter', ['b']);
    await pair.clear();
  });
  afterEach(() => pair.clear());

  test('a bridge is made there as it is here; the container keeps address and aliases, there and back', async () => {
    const { a, b } = pair;
    const options = ['--subnet', '10.66.1.0/24', '--gateway', '10.66.1.254', '--label', 'team=web'];
    await docker(a, 'network', 'create', ...options, '-o', 'com.docker.network.bridge.name=br-office', 'office');
    await docker(a, 'network', 'create', 'chosen');
    const flags = ['--network', 'office', '--ip', '10.66.1.7', '--network-alias', 'shop', '-p', '8080:80'];
    await runContainer(a, 'web', 'counter', { flags });
    await docker(a, 'network', 'connect', '--alias', 'second', 'chosen', 'web');
    await until('it serves', () => wget(a, `http://${a.address}:8080/`));
    const original = await network(a, 'office');
    const address = (await inspect(a, 'web')).NetworkSettings.Networks.chosen?.IPAddress;
    await pair.move(a, 'web', '--drop-connections');

    const except = ['Id', 'Created', 'Containers'].map((path) => ({ path }));
    expect(differences(original, await network(b, 'office'), except)).toEqual([]);
    const { Networks } = (await inspect(b, 'web')).NetworkSettings;
    expect(Networks.office).toMatchObject({ IPAddress: '10.66.1.7', Aliases: ['shop'] });
    expect(Networks.chosen).toMatchObject({ IPAddress: address, Aliases: ['second'] });
    // From the host's own network, and by every name from another container.
    expect(Number(await wget(a, `http://${b.address}:8080/`))).toBeGreaterThan(0);
    for (const [net, names] of [
      ['office', ['web', 'shop', '10.66.1.7']],
      ['chosen', ['web', 'second']],
    ] as const) {
      for (const name of names) expect(Number(await fromNeighbour(b, net, `http://${name}/`))).toBeGreaterThan(0);
    }
    // And the other way: names and addresses outside are reached from inside.
    await runContainer(b, 'neighbour', 'counter', { flags: ['--network', 'office'] });
    await until('the neighbour serves', () => docker(b, 'exec', 'web', 'wget', '-q', '-O', '-', 'http://neighbour/'));
    await docker(b, 'rm', '-f', 'neighbour');

    await pair.move(b, 'web', '--remove', '--drop-connections');
    expect((await inspect(a, 'web')).NetworkSettings.Networks.office).toMatchObject({ IPAddress: '10.66.1.7' });
    expect(Number(await wget(b, `http://${a.address}:8080/`))).toBeGreaterThan(0);
    expect(Number(await fromNeighbour(a, 'chosen', 'http://second/'))).toBeGreaterThan(0);
    // Its restart there is an ordinary one.
    await docker(a, 'restart', '-t', '0', 'web');
    await until('it serves again', () => wget(b, `http://${a.address}:8080/`));
    expect(await pair.leftovers()).toEqual([]);
  });

  test('a network that is there already is joined', async () => {
    const { a, b } = pair;
    for (const host of [a, b]) await docker(host, 'network', 'create', '--subnet', '10.66.2.0/24', 'shared');
    const { Id: before } = await network(b, 'shared');
    await runContainer(b, 'other', 'counter', { flags: ['--network', 'shared', '--ip', '10.66.2.9'] });
    await runContainer(a, 'web', 'counter', { flags: ['--network', 'shared', '--ip', '10.66.2.7'] });
    await until('it counts', async () => (await counts(a, 'web')).length > 2);
    await pair.move(a, 'web');
    expect((await network(b, 'shared')).Id).toBe(before);
    expect(Number(await docker(b, 'exec', 'other', 'wget', '-q', '-O', '-', 'http://web/'))).toBeGreaterThan(0);
  });

  test('where the subnet or the address is taken, it stays, and nothing is left there', async () => {
    const { a, b } = pair;
    await docker(a, 'network', 'create', '--subnet', '10.66.3.0/24', 'mine');
    await runContainer(a, 'web', 'counter', { flags: ['--network', 'mine', '--ip', '10.66.3.7'] });
    await until('it counts', async () => (await counts(a, 'web')).length > 2);
    await docker(b, 'network', 'create', '--subnet', '10.66.0.0/16', 'theirs');
    const taken = await pair.migrate(a, 'web');
    expect([taken.status, codes(taken)]).toEqual([3, ['SUBNET_TAKEN', 'MIGRATION_BLOCKED']]);
    await docker(b, 'network', 'rm', 'theirs');
    await b.run('ip', ['link', 'add', 'br-e2e', 'type', 'bridge']);
    try {
      await b.run('ip', ['addr', 'add', '10.66.3.1/25', 'dev', 'br-e2e']);
      await b.run('ip', ['link', 'set', 'br-e2e', 'up']);
      const routed = await pair.migrate(a, 'web');
      expect([routed.status, codes(routed)]).toEqual([3, ['SUBNET_TAKEN', 'MIGRATION_BLOCKED']]);
    } finally {
      await b.run('ip', ['link', 'del', 'br-e2e']);
    }
    await docker(b, 'network', 'create', '--subnet', '10.66.4.0/24', 'mine');
    const differs = await pair.migrate(a, 'web');
    expect([differs.status, codes(differs)]).toEqual([3, ['NETWORK_DIFFERS', 'MIGRATION_BLOCKED']]);
    await docker(b, 'network', 'rm', 'mine');

    // The address alone is taken.
    await docker(b, 'network', 'create', '--subnet', '10.66.3.0/24', 'mine');
    await runContainer(b, 'squatter', 'counter', { flags: ['--network', 'mine', '--ip', '10.66.3.7'] });
    const squatted = await pair.migrate(a, 'web');
    expect([squatted.status, codes(squatted)]).toEqual([3, ['ADDRESS_TAKEN', 'MIGRATION_BLOCKED']]);
    await docker(b, 'rm', '-f', 'squatter');
    await docker(b, 'network', 'rm', 'mine');

    // Undone at the last moment: what had been made is taken back.
    await b.run('sh', [
      '-c',
      'mv /usr/sbin/criu /usr/sbin/criu.real; printf "#!/bin/sh\\n[ \\"\\$1\\" != swrk ] || [ \\"\\$2\\" != 3 ] || exit 1\\nexec /usr/sbin/criu.real \\"\\$@\\"" >/usr/sbin/criu; chmod 755 /usr/sbin/criu',
    ]);
    try {
      const failed = await pair.migrate(a, 'web');
      expect(failed.result).toMatchObject({ outcome: 'undone', error: { code: 'RESTORE_FAILED' } });
    } finally {
      await b.run('mv', ['/usr/sbin/criu.real', '/usr/sbin/criu']);
    }
    expect(await docker(b, 'network', 'ls', '--format', '{{.Name}}')).not.toContain('mine');
    expect(await docker(b, 'ps', '-aq')).toBe('');
    expect(await running(a)).toEqual(['web']);
    expect(await pair.leftovers()).toEqual([]);
    await pair.move(a, 'web');
    expect((await inspect(b, 'web')).NetworkSettings.Networks.mine?.IPAddress).toBe('10.66.3.7');
  });
});

async function network(host: LabHost, name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await docker(host, 'network', 'inspect', name))[0];
}

/** What a host gets; the lab's hosts reach each other. */
async function wget(host: LabHost, url: string): Promise<string> {
  return (await host.run('busybox', ['wget', '-q', '-T', '3', '-O', '-', url])).stdout.trim();
}

function fromNeighbour(host: LabHost, net: string, url: string): Promise<string> {
  return docker(
    host,
    ...['run', '--rm', '--pull=never', '--network', net, 'counter', 'wget', '-q', '-T', '3', '-O', '-', url],
  );
}
