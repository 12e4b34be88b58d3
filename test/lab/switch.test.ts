/** After the commit nothing stops the workload: what fails of the switch of its traffic is told, and finished by a command. */
import { rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { MigrationEvent, Phase } from '../../src/migration/events.ts';
import { counts, docker, forwards, Pair, runContainer, running, startDrayage, trafficOf, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** Says that the source's intent is to be looked for. */
const RESTORING = '/run/restoring';

/**
 * Has a host hear nothing of another one from the moment that it has written down its intent: the commit is heard there,
 * and its answer, which takes some 30 ms, is lost. That is too short for a test outside of the host to come between.
 * @returns what ends it
 */
async function deafAtIntent(host: LabHost, other: LabHost): Promise<() => Promise<void>> {
  const { stdout } = await other.run('cat', ['/sys/class/net/eth0/address']);
  const chain = 'chain c {\ntype filter hook ingress device "eth0" priority -1000\nether saddr @from drop\n}';
  await host.run('nft', ['-f', '-'], { input: `table netdev deaf {\nset from { type ether_addr; }\n${chain}\n}\n` });
  const script = [
    `rm -f ${RESTORING}; until [ -e ${RESTORING} ]; do sleep 0.01; done`,
    'journal=$(ls -t /var/lib/drayage/journal/*.source.jsonl | head -n 1)',
    `until grep -q '"state":"intent"' "$journal"; do :; done`,
    `exec nft add element netdev deaf from "{ ${stdout.trim()} }"`,
  ];
  const watching = host.start('sh', ['-c', script.join('\n')]);
  return async () => {
    watching.kill('SIGKILL');
    await host.run('nft', ['destroy', 'table', 'netdev', 'deaf']);
  };
}

/** While it is there, programs of the host fail that are told to. */
const BROKEN = '/run/broken';
const PROGRAMS = { nft: '/usr/sbin/nft', tc: '/usr/sbin/tc', bridge: '/usr/sbin/bridge' } as const;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  const mend: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    pair = await Pair.of(version);
    await pair.clear();
  });
  afterEach(async () => {
    while (mend.length > 0) await mend.pop()?.();
    await pair.ready();
    await pair.clear();
  });

  async function serve(): Promise<void> {
    await docker(pair.a, 'network', 'create', '--subnet', '172.30.0.0/24', 'shop');
    const network = ['--network', 'shop', '--ip', '172.30.0.10', '-p', '8080:80'];
    await runContainer(pair.a, 'web', 'counter', { flags: network });
    await until('it serves', async () => (await get(pair.a)) > 2);
  }

  async function get({ address }: LabHost): Promise<number> {
    const url = `http://${address}:8080/`;
    return Number((await pair.lab.host('c').run('busybox', ['wget', '-q', '-T', '3', '-O', '-', url])).stdout);
  }

  async function breakable(host: LabHost, programs: readonly (keyof typeof PROGRAMS)[]): Promise<void> {
    for (const program of programs) {
      const path = host.path(`/usr/local/sbin/${program}`);
      const script = `[ ! -e ${BROKEN} ] || { echo "${program}: no such luck" >&2; exit 1; }\nexec ${PROGRAMS[program]} "$@"`;
      await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      mend.push(() => rm(path, { force: true }));
    }
    mend.push(() => rm(host.path(BROKEN), { force: true }));
  }

  /** Moves it, and does something as a phase begins; resolves to what is told until `over`, or until the command ends. */
  async function move(
    phase: Phase,
    strike: () => Promise<unknown>,
    over?: Promise<unknown>,
  ): Promise<MigrationEvent[]> {
    const cli = startDrayage(pair.a, 'migrate', 'docker:web', '--to', 'root@b', '--json', '--yes', '--remove');
    const events: MigrationEvent[] = [];
    let rest = '';
    let struck: Promise<unknown> | undefined;
    cli.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = JSON.parse(line) as MigrationEvent;
        events.push(event);
        if (event.type === 'phase' && event.phase === phase) struck ??= strike();
      }
    });
    await (over === undefined ? cli.exited : Promise.race([cli.exited, over]));
    await struck;
    return events;
  }

  const notesOf = (events: readonly MigrationEvent[]): string =>
    events.flatMap((event) => (event.type === 'note' ? [event.message] : [])).join('\n');

  test.each([
    // Queues that cannot be opened are removed by the repair, with or without tc.
    ['tc', ['tc'], 0],
    ['nft', ['nft'], 74],
    ['nft, tc and bridge', ['nft', 'tc', 'bridge'], 74],
  ] as const)('%s fails on the source from the commit on', async (_, programs, status) => {
    const { a, b } = pair;
    await serve();
    await breakable(a, programs);
    const events = await move('commit', () => writeFile(a.path(BROKEN), ''));
    const result = events.find((event) => event.type === 'result');
    expect(result, notesOf(events)).toMatchObject({ outcome: 'committed' });
    expect([await running(a), await running(b)]).toEqual([[], ['web']]);
    const before = (await counts(b, 'web')).length;
    await until('it counts on', async () => (await counts(b, 'web')).length > before);
    expect(await get(b)).toBeGreaterThan(0);
    const command = `drayage forwards repair ${result?.id}`;
    expect(notesOf(events)).toContain(`docker:web has moved, but not all of its traffic follows: `);
    expect(notesOf(events)).toContain(command);
    // As long as the reason is there, it is told again.
    const again = await a.run('sh', ['-c', command], { okCodes: [0, 74] });
    expect([again.code, again.stderr]).toEqual([
      status,
      status === 0 ? '' : expect.stringContaining('TRAFFIC_NOT_SWITCHED'),
    ]);
    await rm(a.path(BROKEN));
    await a.run('sh', ['-c', command]);
    expect(await get(a)).toBeGreaterThan(0);
    expect(await forwards(a)).toMatchObject([{ id: result?.id, workload: 'docker:web', role: 'source' }]);
    expect(await pair.leftovers()).toEqual([]);
    // And once more, with nothing to mend.
    await a.run('sh', ['-c', command]);
    expect(await get(a)).toBeGreaterThan(0);
    await a.run('drayage', ['forwards', 'rm', result?.id ?? '']);
    expect(await trafficOf(a)).toEqual({ tables: [], devices: [] });
  });

  test('given up instead: nothing holds packets any more', async () => {
    const { a } = pair;
    await serve();
    await breakable(a, ['nft', 'tc', 'bridge']);
    const events = await move('commit', () => writeFile(a.path(BROKEN), ''));
    const result = events.find((event) => event.type === 'result');
    expect(result).toMatchObject({ outcome: 'committed' });
    await rm(a.path(BROKEN));
    await a.run('drayage', ['forwards', 'rm', result?.id ?? '']);
    expect(await trafficOf(a)).toEqual({ tables: [], devices: [] });
    expect(await pair.leftovers()).toEqual([]);
  });

  test.each(['goes on', 'is killed, and started again'])(
    'a migration in doubt, of which a human decides that the target runs, while the agent %s',
    async (agent) => {
      const { a, b } = pair;
      await serve();
      const hear = await deafAtIntent(a, b);
      mend.push(hear);
      let id = '';
      const decided = Promise.withResolvers<void>();
      const events = move('restore', () => a.run('touch', [RESTORING]), decided.promise);
      const doubt = async () => {
        const history = JSON.parse((await a.run('drayage', ['history', '--json'])).stdout);
        const last = history.at(-1);
        id = last?.id ?? '';
        return last !== undefined && last.outcome === undefined && (await running(b)).includes('web');
      };
      await until('it runs there', doubt, 30_000);
      if (agent !== 'goes on') await a.kill9('drayage-agent');
      const resolved = await until(
        'it can be decided',
        async () =>
          (await a.run('drayage', ['resolve', id, '--keep', 'target', '--json'], { timeoutMs: 60_000 })).stdout,
        60_000,
      );
      decided.resolve();
      await events;
      expect(JSON.parse(resolved)).toMatchObject({ type: 'result', outcome: 'committed' });
      await hear();
      await until('clients are followed', async () => (await get(a)) > 0, 30_000);
      expect([await running(a), await running(b)]).toEqual([[], ['web']]);
      const [forward] = await forwards(a);
      expect(forward).toMatchObject({ id, workload: 'docker:web', role: 'source' });
      await until('nothing is left', async () => (await pair.leftovers()).length === 0, 30_000);
      // The target is known for what it is: home again, all is gone but for open connections.
      await until('the other agent is at rest', async () => (await forwards(b)).length === 1, 30_000);
      await pair.move(b, 'web', '--remove');
      expect(await get(a)).toBeGreaterThan(0);
      expect(await running(a)).toEqual(['web']);
    },
  );
});
