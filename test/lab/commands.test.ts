/** What the commands around a move show, and what becomes of the source's copy. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import type { Started } from '../../src/exec/run.ts';
import { PHASES, type Phase } from '../../src/migration/events.ts';
import {
  brokenAt,
  codes,
  counts,
  docker,
  inspect,
  Pair,
  runContainer,
  running,
  startDrayage,
  until,
} from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter']);
    await pair.clear();
  });
  afterEach(() => pair.clear());

  test('ps, check, migrate, watch, history, show: one story', async () => {
    const { a, b } = pair;
    await runContainer(a, 'web', 'counter', { flags: ['--restart', 'always', '-v', 'data:/data'] });
    await runContainer(a, 'stuck', 'counter', { flags: ['--network', 'host'], command: ['sleep', '1000'] });
    await until('it counts', async () => (await counts(a, 'web')).length > 2);

    const listed = await json(a, 'ps', '--json');
    const web = listed.find(({ ref }: { ref: { name: string } }) => ref.name === 'web');
    expect(web).toMatchObject({ state: 'running', image: 'counter', hindrances: [] });
    const stuck = listed.find(({ ref }: { ref: { name: string } }) => ref.name === 'stuck');
    expect(stuck.hindrances.join()).toContain('host');
    expect((await a.run('drayage', ['ps'])).stdout).toMatch(/web[\s\S]*stuck|stuck[\s\S]*web/);
    // The other host's agent, through ssh.
    expect(await json(b, 'ps', '--json', '--host', 'root@a')).toEqual(listed);

    const checked = await json(a, 'check', 'docker:web', '--to', 'root@b', '--json');
    expect(checked.findings.filter(({ severity }: { severity: string }) => severity === 'blocks')).toEqual([]);
    expect(checked.plan).not.toBeNull();
    const refused = await a.run('drayage', ['check', 'stuck', '--to', 'root@b'], { okCodes: [3] });
    expect(refused.stdout).toContain('SHARED_NAMESPACE');

    const { result, events, status } = await pair.migrate(a, 'web');
    expect(status).toBe(0);
    expect(events.at(-1)).toEqual(result);
    const targetId = (await inspect(b, 'web')).Id;
    expect(result).toMatchObject({ type: 'result', outcome: 'committed', targetId, keptAs: expect.any(String) });
    expect(result?.outageMs).toBeGreaterThan(0);
    expect(result?.totalMs).toBeGreaterThan(result?.outageMs ?? 0);
    expect(result?.bytes).toBeGreaterThan(1000);
    const names = result?.phases.map(({ name }) => name) ?? [];
    expect(PHASES).toEqual(expect.arrayContaining(names));
    expect(names).toEqual(
      expect.arrayContaining(['survey', 'prepare', 'freeze', 'dump', 'restore', 'commit', 'release']),
    );
    const phases = events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []));
    expect(phases[0]).toBe('survey');

    // The original is kept: stopped, with its own files, and without what would start it.
    const kept = await inspect(a, result?.keptAs ?? '');
    expect(kept).toMatchObject({ State: { Running: false }, HostConfig: { RestartPolicy: { Name: 'no' } } });
    expect(await running(a)).toEqual(['stuck']);
    expect((await json(a, 'ps', '--json')).map(({ ref }: { ref: { name: string } }) => ref.name)).toContain('stuck');

    const id = result?.id ?? '';
    const history = await json(a, 'history', '--json');
    expect(history.at(-1)).toMatchObject({ id, workload: expect.stringContaining('web'), outcome: 'committed' });
    expect((await a.run('drayage', ['history'])).stdout).toContain(id);
    const shown = (await a.run('drayage', ['show', id])).stdout;
    for (const word of ['freeze', 'dump', 'restore', 'commit', 'runc', 'rsync', 'outage'])
      expect(shown).toContain(word);
    const lines = (await a.run('drayage', ['show', id, '--json'])).stdout.split('\n').filter(Boolean);
    expect(JSON.parse(lines.at(-1) as string)).toMatchObject(result as object);
    const watched = await a.run('drayage', ['watch', id, '--json']);
    expect(watched.code).toBe(0);
    expect(JSON.parse(watched.stdout.split('\n').filter(Boolean).at(-1) as string)).toMatchObject(result as object);
  });

  test('--remove leaves nothing on the source', async () => {
    const { a, b } = pair;
    await runContainer(a, 'web', 'counter', { flags: ['-v', '/anonymous'] });
    const { keptAs } = await pair.move(a, 'web', '--remove');
    expect(keptAs).toBeUndefined();
    expect(await docker(a, 'ps', '-aq')).toBe('');
    expect(await docker(a, 'volume', 'ls', '-q')).toBe('');
    await until('it counts', async () => (await counts(b, 'web')).length > 3);
    expect(await pair.leftovers()).toEqual([]);
  });

  const MOVE = ['migrate', 'web', '--to', 'root@b', '--json', '--yes'];

  test.each<[string, Phase, (pair: Pair) => { program: Started; end(): Promise<void> | void }]>([
    [
      'the command is killed',
      'prepare',
      ({ a }) => {
        const program = startDrayage(a, ...MOVE);
        return { program, end: () => program.interrupt('KILL') };
      },
    ],
    [
      'its terminal is closed',
      'dump',
      ({ a }) => {
        const program = startDrayage(a, ...MOVE);
        return { program, end: () => program.interrupt('HUP') };
      },
    ],
    [
      'the ssh session that it was started in breaks',
      'restore',
      ({ b }) => {
        const program = b.start('ssh', ['-tt', 'root@a', 'drayage', ...MOVE]);
        return { program, end: () => program.kill('SIGKILL') };
      },
    ],
  ])('a move goes on when %s, and another command watches it', async (_, phase, begin) => {
    const { a, b } = pair;
    await runContainer(a, 'web', 'counter');
    await until('it counts', async () => (await counts(a, 'web')).length > 2);
    const { program, end } = begin(pair);
    let told = '';
    let ended: Promise<void> | undefined;
    program.stdout.on('data', (chunk: Buffer) => {
      told += chunk;
      if (told.includes(`"phase":"${phase}"`)) ended ??= Promise.resolve(end());
    });
    await program.exited;
    await ended;
    expect(told).toContain(`"phase":"${phase}"`);
    expect(told).not.toContain('"outcome"');
    const [id = ''] = /\d{8}-\d{6}-[0-9a-f]{4}/.exec(told) ?? [];
    const { stdout, code } = await a.run('drayage', ['watch', id, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.split('\n').filter(Boolean).at(-1) as string)).toMatchObject({ id, outcome: 'committed' });
    await until('it counts on', async () => (await counts(b, 'web')).length > 8);
    expect(brokenAt(await counts(b, 'web'))).toBeUndefined();
    expect(await pair.leftovers()).toEqual([]);
  });

  test('a target whose disk is too small is told before, and one that fills up undoes', async () => {
    const name = `disk${version}-${process.pid}`.slice(0, 13);
    const options = { name, hosts: ['a', 'b'], docker: version, programDir: 'dist', ephemeral: true, diskMb: 120 };
    await using lab = await Lab.up(options);
    await lab.image('counter', ['a']);
    const small = Pair.in(lab);
    const { a, b } = small;
    await runContainer(a, 'web', 'counter', { flags: ['-v', 'data:/data'] });
    await docker(a, 'exec', 'web', 'dd', 'if=/dev/urandom', 'of=/data/large', 'bs=1M', 'count=60');
    await b.run('dd', ['if=/dev/zero', 'of=/var/lib/docker/ballast', 'bs=1M', 'count=80']);
    const blocked = await small.migrate(a, 'web');
    expect([blocked.status, codes(blocked)]).toEqual([3, ['DISK_SHORT', 'MIGRATION_BLOCKED']]);
    await b.run('rm', ['/var/lib/docker/ballast']);
    // It was there when it was asked for, and is gone when it is needed.
    const cli = a.start('drayage', ['migrate', 'web', '--to', 'root@b', '--json', '--yes']);
    let told = '';
    cli.stdout.on('data', (chunk: Buffer) => {
      told += chunk;
    });
    await until('it prepares', async () => told.includes('"phase":"prepare"'));
    await b.run('sh', ['-c', 'dd if=/dev/zero of=/var/lib/docker/ballast bs=1M count=100 2>/dev/null; true']);
    const { code } = await cli.exited;
    const result = JSON.parse(told.split('\n').filter(Boolean).at(-1) as string);
    expect(result).toMatchObject({ type: 'result', outcome: 'undone', error: { code: 'FILES_NO_SPACE' } });
    expect(code).not.toBe(0);
    await b.run('rm', ['/var/lib/docker/ballast']);
    const before = (await counts(a, 'web')).length;
    await until('it counts on', async () => (await counts(a, 'web')).length > before + 3);
    expect(brokenAt(await counts(a, 'web'))).toBeUndefined();
    expect([await docker(b, 'ps', '-aq'), await docker(b, 'volume', 'ls', '-q')]).toEqual(['', '']);
    expect(await small.leftovers()).toEqual([]);
    await small.move(a, 'web');
  });
});

async function json(host: LabHost, ...args: string[]) {
  return JSON.parse((await host.run('drayage', args)).stdout);
}
