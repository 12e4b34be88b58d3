/** Moves without a network: a workload goes into a file, the file is carried, and the workload goes on from it. */
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { Inside } from '../../src/migration/archive/inside.ts';
import type { MigrationEvent } from '../../src/migration/events.ts';
import { brokenAt, counts, docker, type Move, Pair, runContainer, running, startDrayage, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

const FILE = '/root/web.drayage';
/** Some 150 MB of keys, all different. */
const NUMBERS = `for i = 1, 300000 do
  local numbers = {}
  for j = 1, 30 do numbers[j] = math.random(1e9) end
  redis.call('set', i, table.concat(numbers, ' '))
end`;

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'redis', 'python']);
  });
  afterEach(async () => {
    await pair.clear();
    for (const host of [pair.a, pair.b]) {
      await host.run('sh', ['-c', 'rm -rf /root/*.drayage* /root/*.age /root/key* /srv/e2e']);
      // So that images are not there already where they are to come out of an archive.
      if (host === pair.b) await host.run('docker', ['image', 'prune', '-a', '-f']);
    }
  });

  test('a counter is exported, carried as a file, and goes on from its count; the archive runs once', async () => {
    const { a, b } = pair;
    await counting(a);
    const out = await drayage(a, 'export', 'docker:web', '-o', FILE, '--yes');
    expect(out.result).toMatchObject({ outcome: 'committed', outageMs: null });
    expect(out.status).toBe(0);
    expect(await running(a)).toEqual([]);
    expect(await docker(a, 'ps', '-a', '--format', '{{.Names}}')).toMatch(/^web-moved-/);
    expect((await stat(a.path(FILE))).mode & 0o777).toBe(0o600);

    await carry(a, b);
    const tar = await b.run('tar', ['-tf', FILE]);
    expect(tar.stdout).toContain('manifest.json\n');
    const there = await drayage(b, 'import', FILE);
    expect(there.result).toMatchObject({ outcome: 'committed' });
    expect(await running(b)).toEqual(['web']);
    const before = (await counts(b, 'web')).length;
    await until('it counts on', async () => (await counts(b, 'web')).length > before + 5);
    const all = await counts(b, 'web');
    expect(brokenAt(all)).toBeUndefined();
    expect(all[0]).toBeLessThanOrEqual(1);

    const again = await drayage(b, 'import', FILE);
    expect(again.error).toBe('ARCHIVE_IMPORTED');
    expect(await running(b)).toEqual(['web']);
    expect(await pair.leftovers()).toEqual([]);
  });

  test('redis keeps its keys, through a pipe and encrypted to a passphrase', async () => {
    const { a, b } = pair;
    await runContainer(a, 'cache', 'redis', { flags: ['-v', 'data:/data'], command: ['redis-server', '--save', ''] });
    await until('it answers', async () => (await redis(a, 'PING')) === 'PONG');
    await redis(a, 'EVAL', "for i = 1, 3000 do redis.call('set', 'key:' .. i, i .. string.rep('x', 1000)) end", '0');
    await docker(a, 'exec', 'cache', 'sh', '-c', 'echo kept >/data/file; ln /data/file /data/link');
    for (const host of [a, b]) await writeFile(host.path('/root/key'), 'correct horse\n');
    const flags = '--yes --passphrase-file /root/key';
    const wrong = await a.run('sh', [
      '-c',
      `echo other >/root/key2; drayage export docker:cache -o - ${flags} >/root/cache.age`,
    ]);
    expect(wrong.stderr).toContain('docker:cache is in the archive');
    expect((await readFile(a.path('/root/cache.age'))).toString('latin1', 0, 21)).toBe('age-encryption.org/v1');

    await carry(a, b, '/root/cache.age');
    expect((await drayage(b, 'import', '/root/cache.age')).error).toBe('ARCHIVE_LOCKED');
    await carry(a, b, '/root/key2');
    const bad = await drayage(b, 'import', '/root/cache.age', '--passphrase-file', '/root/key2');
    expect(bad.error).toBe('ARCHIVE_LOCKED');
    await b.run('sh', ['-c', `cat /root/cache.age | drayage import - ${flags}`]);
    expect(await redis(b, 'DBSIZE')).toBe('3000');
    expect(await redis(b, 'STRLEN', 'key:2999')).toBe('1004');
    expect(await docker(b, 'exec', 'cache', 'sh', '-c', 'cat /data/link; stat -c %h /data/file')).toBe('kept\n2');
    expect((await b.run('sh', ['-c', 'ls -A /var/lib/drayage/spool 2>/dev/null; true'])).stdout).toBe('');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('memory that takes longer to pack than to dump is the same afterwards, and moves on', async () => {
    const { a, b } = pair;
    const command = ['redis-server', '--save', '', '--enable-debug-command', 'local'];
    await runContainer(a, 'cache', 'redis', { command });
    await until('it answers', async () => (await redis(a, 'PING')) === 'PONG');
    await redis(a, 'EVAL', NUMBERS, '0');
    const digest = await redis(a, 'DEBUG', 'DIGEST');
    expect(digest).toMatch(/^[0-9a-f]{40}$/);
    const out = await drayage(a, 'export', 'docker:cache', '-o', FILE, '--yes');
    expect(out.result).toMatchObject({ outcome: 'committed' });
    await carry(a, b);
    expect((await drayage(b, 'import', FILE, '--yes')).result).toMatchObject({ outcome: 'committed' });
    expect(await redis(b, 'DEBUG', 'DIGEST')).toBe(digest);
    await pair.move(b, 'cache');
    expect(await redis(a, 'DEBUG', 'DIGEST')).toBe(digest);
  });

  // In what follows engines have no part.
  if (version !== 26) return;

  test('with --no-image the image must be there', async () => {
    const { a, b } = pair;
    await counting(a);
    const out = await drayage(a, 'export', 'docker:web', '-o', FILE, '--no-image', '--yes');
    expect(out.result).toMatchObject({ outcome: 'committed' });
    await carry(a, b);
    const without = await drayage(b, 'import', FILE);
    expect(without.status).toBe(3);
    expect(JSON.stringify(without.events)).toContain('IMAGE_NOT_INSIDE');
    await pair.lab.image('counter', ['b']);
    expect((await drayage(b, 'import', FILE)).result).toMatchObject({ outcome: 'committed' });
    expect(brokenAt(await counts(b, 'web'))).toBeUndefined();
  });

  test('an archive that is cut short, altered or something else is refused before anything is created', async () => {
    const { a, b } = pair;
    await counting(a);
    await drayage(a, 'export', 'docker:web', '-o', FILE, '--yes');
    await carry(a, b);
    const whole = await readFile(b.path(FILE));
    const untouched = await everything(b);
    const cases = {
      ARCHIVE_DAMAGED: [
        whole.subarray(0, whole.length - 1),
        whole.subarray(0, Math.floor(whole.length / 2)),
        altered(whole, Math.floor(whole.length / 3)),
        altered(whole, whole.length - 100),
        Buffer.concat([whole, whole]),
      ],
      ARCHIVE_FOREIGN: [Buffer.alloc(0), Buffer.from('hello'), Buffer.alloc(100_000, 7)],
    };
    for (const [code, files] of Object.entries(cases)) {
      for (const content of files) {
        await writeFile(b.path(FILE), content);
        expect((await drayage(b, 'import', FILE)).error).toBe(code);
        const piped = await b.run('sh', ['-c', `drayage import - --json <${FILE}`], { okCodes: [65] });
        expect(piped.stdout).toContain(code);
        expect((await b.run('drayage', ['inspect', FILE], { okCodes: [65] })).stderr).toContain(code);
      }
    }
    expect((await drayage(b, 'import', '/root/nowhere')).error).toBe('ARCHIVE_READ');
    expect(await everything(b)).toEqual(untouched);
    await writeFile(b.path(FILE), whole);
    expect((await drayage(b, 'import', FILE)).result).toMatchObject({ outcome: 'committed' });
  });

  test('where the disk gets full in the middle, it waits and goes on where it stopped; or is taken back', async () => {
    const { a, b } = pair;
    await mkdir(a.path('/srv/e2e'), { recursive: true });
    await writeFile(a.path('/srv/e2e/large'), Buffer.alloc(20 << 20, 'x'));
    await counting(a, '-v', '/srv/e2e:/large', '-v', 'small:/small');
    const out = await drayage(a, 'export', 'docker:web', '-o', FILE, '--carry-binds', '--yes');
    expect(out.result).toMatchObject({ outcome: 'committed' });
    await carry(a, b);
    await b.run('mkdir', ['-p', '/srv/e2e']);
    await b.run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'small', '/srv/e2e']);
    try {
      const untouched = await everything(b);
      const full = await drayage(b, 'import', FILE, '--yes');
      expect(full.error).toBe('ARCHIVE_NO_ROOM');
      expect(full.status).toBe(75);
      expect(await running(b)).toEqual([]);
      // Nothing starts it in between.
      expect((await b.run('docker', ['start', 'web'], { okCodes: [1] })).code).toBe(1);

      const undone = await drayage(b, 'import', FILE, '--undo');
      expect(undone.result).toMatchObject({ outcome: 'undone' });
      await until('all is as it was', async () => (await everything(b)) === untouched);

      const spooled = async () => (await b.run('ls', ['-A', '/var/lib/drayage/spool'])).stdout.split('\n').length - 1;
      // What was written to the bind is left there.
      const refused = await b.run('sh', ['-c', `cat ${FILE} | drayage import -`], { okCodes: [2] });
      expect(refused.stdout).toContain('BIND_CARRIED');
      await until('what was refused is gone', async () => (await spooled()) === 0);
      const piped = await b.run('sh', ['-c', `cat ${FILE} | drayage import - --yes --json`], { okCodes: [75] });
      expect(piped.stdout).toContain('ARCHIVE_NO_ROOM');
      expect(await spooled()).toBe(1);
      await b.run('mount', ['-o', 'remount,size=64m', '/srv/e2e']);
      const resumed = await drayage(b, 'import', FILE, '--yes');
      expect(resumed.result).toMatchObject({ outcome: 'committed' });
      expect(await spooled()).toBe(0);
      expect((await stat(b.path(FILE))).size).toBeGreaterThan(0);
      const story = (await b.run('drayage', ['show', resumed.result?.id ?? '', '--json'])).stdout;
      expect(story.match(/"create copy"/g)).toHaveLength(1);
      expect(await docker(b, 'exec', 'web', 'sh', '-c', 'wc -c </large/large')).toBe(String(20 << 20));
      expect(brokenAt(await counts(b, 'web'))).toBeUndefined();
      expect(await pair.leftovers()).toEqual([]);
    } finally {
      await docker(b, 'rm', '-f', 'web');
      await b.run('umount', ['-l', '/srv/e2e']);
    }
  });

  test('where the archive finds no room, or its reader goes away, the workload goes on', async () => {
    const { a } = pair;
    await counting(a);
    await a.run('mkdir', ['-p', '/srv/e2e']);
    await a.run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'small', '/srv/e2e']);
    try {
      const full = await drayage(a, 'export', 'docker:web', '-o', '/srv/e2e/web.drayage', '--yes');
      expect(full.result).toMatchObject({ outcome: 'undone', error: { code: 'ARCHIVE_WRITE' } });
      expect((await a.run('ls', ['-A', '/srv/e2e'])).stdout).toBe('');
    } finally {
      await a.run('umount', ['-l', '/srv/e2e']);
    }
    const left = await a.run('sh', ['-c', 'drayage export docker:web -o - --yes | head -c 1000 >/dev/null; true']);
    expect(left.stderr).toContain('undone');
    await writeFile(a.path(FILE), 'precious');
    expect((await drayage(a, 'export', 'docker:web', '-o', FILE, '--yes')).error).toBe('ARCHIVE_EXISTS');
    expect(await readFile(a.path(FILE), 'utf8')).toBe('precious');
    const before = (await counts(a, 'web')).length;
    await until('it counts on', async () => (await counts(a, 'web')).length > before + 5);
    expect(brokenAt(await counts(a, 'web'))).toBeUndefined();
    expect(await pair.leftovers()).toEqual([]);
  });

  test('an agent that dies in the middle leaves the workload running, and no archive', async () => {
    const { a } = pair;
    await runContainer(a, 'web', 'python', { command: ['python3', '-c', WITH_MEMORY] });
    await until('it has its memory', async () => (await docker(a, 'logs', 'web')).includes('ready'));
    const program = startDrayage(a, 'export', 'docker:web', '-o', FILE, '--yes');
    program.stdout.resume();
    await until('it is written', async () => (await stat(a.path(`${FILE}.partial`))).size > 1 << 20);
    await a.kill9('drayage-agent');
    await program.exited;
    await pair.ready();
    await until('the partial archive is gone', async () => (await a.run('ls', ['/root'])).stdout === '');
    expect(await running(a)).toEqual(['web']);
    await until('no cgroup is frozen', async () => (await pair.leftovers()).length === 0);
  });

  test('a snapshot leaves it running, and what comes of it is a second copy', async () => {
    const { a, b } = pair;
    await counting(a);
    const taken = await drayage(a, 'snapshot', 'docker:web', '-o', FILE, '--yes');
    expect(taken.result).toMatchObject({ outcome: 'committed' });
    expect(taken.result?.outageMs).toBeGreaterThan(0);
    const at = (await counts(a, 'web')).length;
    await until('it counts on', async () => (await counts(a, 'web')).length > at + 5);
    expect(brokenAt(await counts(a, 'web'))).toBeUndefined();
    // Its place is taken here.
    expect((await drayage(a, 'import', FILE, '--yes')).status).toBe(3);

    await carry(a, b);
    expect((await drayage(b, 'import', FILE)).error).toBe('CONFIRMATION_NEEDED');
    expect((await drayage(b, 'import', FILE, '--yes')).result).toMatchObject({ outcome: 'committed' });
    const all = await counts(b, 'web');
    expect(brokenAt(all)).toBeUndefined();
    expect(await running(a)).toEqual(['web']);
    expect(await running(b)).toEqual(['web']);
  });

  test('a look inside tells what there is, and hides values', async () => {
    const { a } = pair;
    await counting(a, '-e', 'PASSWORD=hunter2');
    await a.run('sh', ['-c', 'mkdir -p /srv/e2e']);
    await drayage(a, 'snapshot', 'docker:web', '-o', FILE, '--yes');
    const shown = await a.run('drayage', ['inspect', FILE]);
    expect(shown.stdout).toContain('PASSWORD');
    expect(shown.stdout).not.toContain('hunter2');
    expect((await a.run('drayage', ['inspect', FILE, '--show-values'])).stdout).toContain('PASSWORD=hunter2');
    const inside = JSON.parse((await a.run('drayage', ['inspect', FILE, '--json'])).stdout) as Inside;
    expect(inside.manifest).toMatchObject({ kind: 'snapshot', workload: 'docker:web', image: { inside: true } });
    expect(inside.processes.map(({ name }) => name)).toContain('httpd');
    expect(inside.processes[0]).toMatchObject({ pid: 1, parent: 0 });
    expect(inside.processes[0]?.memory.anonymous).toBeGreaterThan(0);
    expect(inside.sockets).toContainEqual(
      expect.objectContaining({ state: 'LISTEN', local: expect.stringMatching(/:80$/) }),
    );
    expect(inside.processes.some(({ files }) => files.some(({ fd }) => fd === 1))).toBe(true);
  });

  test('established connections need a word', async () => {
    const { a, b } = pair;
    await counting(a, '-p', '8080:80');
    const address = await docker(a, 'inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'web');
    // Its server waits for a request that does not come.
    const client = a.start('bash', ['-c', `exec 3<>/dev/tcp/${address}/80; sleep 60`]);
    try {
      await until('it is connected', async () =>
        (await docker(a, 'exec', 'web', 'cat', '/proc/net/tcp', '/proc/net/tcp6')).includes(' 01 '),
      );
      const refused = await drayage(a, 'export', 'docker:web', '-o', FILE, '--yes');
      expect(refused.status).toBe(3);
      const out = await drayage(a, 'export', 'docker:web', '-o', FILE, '--yes', '--drop-connections');
      expect(out.result).toMatchObject({ outcome: 'committed' });
    } finally {
      client.kill('SIGKILL');
    }
    await carry(a, b);
    expect((await drayage(b, 'import', FILE, '--yes')).result).toMatchObject({ outcome: 'committed' });
    expect(brokenAt(await counts(b, 'web'))).toBeUndefined();
  });
});

async function counting(host: LabHost, ...flags: string[]): Promise<void> {
  await runContainer(host, 'web', 'counter', { flags });
  await until('it counts', async () => (await counts(host, 'web')).length > 5);
}

/** As on a disk that somebody carries. */
async function carry(from: LabHost, to: LabHost, path = FILE): Promise<void> {
  await copyFile(from.path(path), to.path(path));
  await rm(from.path(path));
}

function altered(whole: Buffer, at: number): Buffer {
  const other = Buffer.from(whole);
  other[at] = (other[at] as number) ^ 0x10;
  return other;
}

/** All that an engine has. */
async function everything(host: LabHost): Promise<string> {
  const lists = [
    ['ps', '-a', '--format', '{{.Names}}'],
    ['images', '-a', '--format', '{{.ID}}'],
    ['volume', 'ls', '-q'],
    ['network', 'ls', '-q'],
  ];
  return (await Promise.all(lists.map((list) => docker(host, ...list)))).join('\n');
}

function redis(host: LabHost, ...words: string[]): Promise<string> {
  return docker(host, 'exec', 'cache', 'redis-cli', ...words);
}

async function drayage(host: LabHost, ...words: string[]): Promise<Move & { error: string | undefined }> {
  const okCodes = Array.from({ length: 256 }, (_, status) => status);
  const { code, stdout, stderr } = await host.run('drayage', [...words, '--json'], { okCodes, timeoutMs: 120_000 });
  const events = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as MigrationEvent);
  const error = events.map((event) => event as { type: string; code?: string }).find(({ type }) => type === 'error');
  return {
    ...{ status: code, events, stderr },
    result: events.findLast((event) => event.type === 'result'),
    error: error?.code,
  };
}

const WITH_MEMORY = `
import os, time
held = os.urandom(200 << 20)
print('ready', flush=True)
time.sleep(1000)
`;
