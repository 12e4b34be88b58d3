/** Putting drayage on a host and taking it away, between two hosts that know nothing of it. */
import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { DOCKERS, type DockerVersion } from './setup.ts';

const ANY = Array.from({ length: 256 }, (_, status) => status);
/** Often enough to see the large file while it comes in. */
const POLL = { interval: 5, timeout: 60_000 };
const DAEMON_JSON = '/etc/docker/daemon.json';

describe.each(DOCKERS)('Docker %i', (version: DockerVersion) => {
  let lab: Lab;
  /** Where the user is: it has a program to run, but nothing is installed. */
  let a: LabHost;
  let b: LabHost;

  beforeAll(async () => {
    const name = `host${version}-${process.pid}`;
    lab = await Lab.up({ name, hosts: ['a', 'b'], docker: version, agent: false, ephemeral: true });
    [a, b] = [lab.host('a'), lab.host('b')];
    await mkdir(a.path('/opt/drayage'), { recursive: true });
    for (const part of ['drayage.mjs', 'main.mjs', 'shim']) {
      await cp(`dist/${part}`, a.path(`/opt/drayage/${part}`), { recursive: true });
    }
    await cp(process.execPath, a.path('/opt/node'));
  });
  afterAll(() => lab?.down());

  const drayage = async (...words: string[]) => {
    const args = ['/opt/drayage/drayage.mjs', ...words];
    const { code, stdout, stderr } = await a.run('/opt/node', args, { okCodes: ANY, timeoutMs: 120_000 });
    return { code, stdout, stderr };
  };
  const json = async (...words: string[]) => {
    const [command = '', verb = '', ...rest] = words;
    const { code, stdout } = await drayage(command, verb, '--json', ...rest);
    const lines = stdout.split('\n').filter(Boolean);
    return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
  };
  /** As if another version of the program were where the user is. */
  const newer = async <T>(work: () => Promise<T>): Promise<T> => {
    const main = a.path('/opt/drayage/main.mjs');
    const program = await readFile(main, 'utf8');
    await writeFile(main, `${program}\n// newer`);
    return work().finally(() => writeFile(main, program));
  };
  const runtimes = async () => (await b.run('docker', ['info', '--format', '{{json .Runtimes}}'])).stdout;
  const dockerd = async () => (await b.run('cat', ['/var/run/docker.pid'])).stdout.trim();
  /** Everything on the host's disk, with its content; but for what Docker, ssh and logs write by themselves. */
  const files = async () => {
    const script = `find / -xdev ${[
      '/var/lib/docker',
      '/var/lib/containerd',
      '/var/log',
      '/run',
      '/tmp',
      '/proc',
      '/sys',
      '/dev',
      '/root/.cache',
    ]
      .map((path) => `-path ${path} -prune -o`)
      .join(' ')} -type f -printf '%p %s %m\\n' | sort; sha256sum ${DAEMON_JSON}`;
    return (await b.run('sh', ['-c', script], { okCodes: ANY })).stdout;
  };

  beforeEach(async () => {
    await drayage('host', 'remove', 'root@b', '--purge', '--force');
  });

  test('add, again, remove: works, changes nothing, leaves nothing', async () => {
    const foreign =
      '{"debug": false, "storage-driver":"overlay2","exec-opts":["native.cgroupdriver=cgroupfs"],\n"live-restore":true, "runtimes":{"other":{"path":"/usr/sbin/runc"}}}';
    const original = await readFile(b.path(DAEMON_JSON), 'utf8');
    await writeFile(b.path(DAEMON_JSON), foreign);
    const before = await files();
    const pid = await dockerd();

    const first = await json('host', 'add', 'root@b');
    expect(first).toMatchObject({ code: 0 });
    expect(first.lines.filter((line) => line.type === 'step').map((line) => line.step)).toEqual([
      'sent',
      'program',
      'runtime',
      'agent',
      'listed',
    ]);
    const merged = JSON.parse(await readFile(b.path(DAEMON_JSON), 'utf8'));
    expect(Object.keys(merged)).toEqual(['debug', 'storage-driver', 'exec-opts', 'live-restore', 'runtimes']);
    expect(Object.keys(merged.runtimes)).toEqual(['other', 'drayage']);
    expect(await runtimes()).toContain('/usr/local/lib/drayage/shim/drayage-runc');
    expect((await b.run('drayage', ['ps', '--json'])).stdout).toBe('[]\n');
    const { lines: hosts } = await json('host', 'ls');
    expect(hosts).toEqual([
      [expect.objectContaining({ name: 'root@b', drayage: expect.any(String), docker: expect.any(String) })],
    ]);

    const state = await files();
    const again = await json('host', 'add', 'root@b');
    expect(again.code).toBe(0);
    expect(again.lines.filter((line) => line.changed === true)).toEqual([]);
    expect(await files()).toBe(state);
    const agent = (await b.run('drayage', ['setup'])).stdout;
    expect(agent).toContain('Nothing was to be done');

    expect(await drayage('host', 'remove', 'root@b')).toMatchObject({ code: 0 });
    expect(await files()).toBe(before);
    expect(await readFile(b.path(DAEMON_JSON), 'utf8')).toBe(foreign);
    expect(await runtimes()).toContain('other');
    expect(await runtimes()).not.toContain('drayage');
    expect((await b.run('pgrep', ['-f', 'drayage.mjs agent'], { okCodes: [0, 1] })).stdout).toBe('');
    expect((await b.run('ls', ['-d', '/run/drayage'], { okCodes: [0, 2] })).stdout).toBe('');
    expect((await json('host', 'ls')).lines).toEqual([[]]);
    expect(await dockerd()).toBe(pid);
    await writeFile(b.path(DAEMON_JSON), original);
  });

  test('a host without daemon.json has none afterwards', async () => {
    const original = await readFile(b.path(DAEMON_JSON), 'utf8');
    await b.run('rm', [DAEMON_JSON]);
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
    expect(JSON.parse(await readFile(b.path(DAEMON_JSON), 'utf8'))).toEqual({
      runtimes: { drayage: expect.anything() },
    });
    expect(await drayage('host', 'remove', 'root@b')).toMatchObject({ code: 0 });
    await expect(readFile(b.path(DAEMON_JSON), 'utf8')).rejects.toThrow('ENOENT');
    await writeFile(b.path(DAEMON_JSON), original);
  });

  // In what follows engines have no part.
  if (version !== 26) return;

  test('a daemon.json that is no JSON is told, and left as it is', async () => {
    const original = await readFile(b.path(DAEMON_JSON), 'utf8');
    await writeFile(b.path(DAEMON_JSON), '{"debug": true,}');
    const { code, lines } = await json('host', 'add', 'root@b');
    expect(code).not.toBe(0);
    expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'SETUP_DAEMON_JSON' });
    expect(await readFile(b.path(DAEMON_JSON), 'utf8')).toBe('{"debug": true,}');
    await writeFile(b.path(DAEMON_JSON), original);
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
  });

  test('another version takes the place of the old one and of its agent', async () => {
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
    const agent = await readFile(b.path('/run/drayage/agent.json'), 'utf8');
    const { lines } = await newer(() => json('host', 'add', 'root@b'));
    const sent = lines.find((line) => line.step === 'sent');
    expect(sent).toMatchObject({ changed: true, detail: 'to root@b: main.mjs' });
    expect(lines.find((line) => line.step === 'agent')).toMatchObject({ changed: true });
    expect(JSON.parse(await readFile(b.path('/run/drayage/agent.json'), 'utf8')).pid).not.toBe(JSON.parse(agent).pid);
  });

  test('an interrupted add leaves the old version working, and can be repeated', async () => {
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
    await b.run('sh', [
      '-c',
      'echo old >/usr/local/lib/drayage/node.incoming; echo "#!/bin/sh" >/usr/local/lib/drayage/shim/drayage-runc',
    ]);
    await b.run('sh', [
      '-c',
      'mv /usr/local/lib/drayage/node /usr/local/lib/drayage/node.kept; cp /usr/local/lib/drayage/node.kept /usr/local/lib/drayage/node; echo >>/usr/local/lib/drayage/node',
    ]);
    const half = a.start('/opt/node', ['/opt/drayage/drayage.mjs', 'host', 'add', 'root@b'], {});
    // Killed while the large file is on its way.
    const arrived = 'stat -c %s /usr/local/lib/drayage/node.incoming 2>/dev/null || echo 0';
    await expect.poll(async () => Number((await b.run('sh', ['-c', arrived])).stdout), POLL).toBeGreaterThan(1e6);
    half.kill('SIGKILL');
    await half.exited;
    expect((await b.run('drayage', ['ps', '--json'])).stdout).toBe('[]\n');
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
    const { stdout: left } = await b.run('find', ['/usr/local/lib/drayage', '-name', '*.incoming']);
    expect(left).toBe('');
  });

  test('an agent in the midst of a migration is not replaced', async () => {
    expect(await drayage('setup')).toMatchObject({ code: 0 });
    expect(await drayage('host', 'add', 'root@b')).toMatchObject({ code: 0 });
    await lab.image('counter', ['a']);
    const run = ['run', '-d', '--name', 'busy', '--network', 'none', '--pull', 'never', 'counter'];
    await a.run('docker', run);
    await a.run('docker', ['exec', 'busy', 'dd', 'if=/dev/urandom', 'of=/large', 'bs=1M', 'count=200']);
    const move = a.start('drayage', ['migrate', 'busy', '--to', 'root@b', '--yes', '--json']);
    const [first] = await once(move.stdout, 'data');
    expect(String(first)).toContain('"type":"started"');
    // The target's engine holds its breath, and the migration with it.
    const pid = await dockerd();
    await b.run('kill', ['-STOP', pid]);
    try {
      const { code, stderr } = await newer(() => drayage('setup'));
      expect(stderr).toContain('error SETUP_BUSY');
      expect(code).not.toBe(0);
    } finally {
      await b.run('kill', ['-CONT', pid]);
      await move.exited;
    }
    const ended = `cat /var/lib/drayage/journal/*.target.jsonl | grep -cE '"state":"(released|aborted)"' || true`;
    await expect.poll(async () => (await b.run('sh', ['-c', ended])).stdout, { timeout: 60_000 }).toBe('1\n');
    for (const host of [a, b]) await host.run('sh', ['-c', 'docker ps -aq | xargs -r docker rm -f']);
    expect(await drayage('setup', '--remove', '--purge')).toMatchObject({ code: 0 });
  });

  test('a container that runs by the runtime keeps it from being removed', async () => {
    await drayage('host', 'add', 'root@b');
    await lab.image('counter', ['b']);
    await b.run('docker', ['create', '--name', 'held', '--runtime', 'drayage', '--pull', 'never', 'counter']);
    const { code, lines } = await json('host', 'remove', 'root@b');
    expect(code).not.toBe(0);
    expect(lines.at(-1)).toMatchObject({ code: 'HOST_IN_USE', message: expect.stringContaining('held') });
    expect((await b.run('drayage', ['ps', '--json'])).stdout).not.toBe('');
    await b.run('docker', ['rm', 'held']);
    expect(await drayage('host', 'remove', 'root@b')).toMatchObject({ code: 0 });
  });

  test('a host that is not fit is told everything at once, and nothing is put there', async () => {
    const before = await files();
    await b.run('sh', ['-c', 'mv /usr/sbin/criu /usr/sbin/criu.away; mv /usr/bin/rsync /usr/bin/rsync.away']);
    const { code, lines } = await json('host', 'add', 'root@b');
    await b.run('sh', ['-c', 'mv /usr/sbin/criu.away /usr/sbin/criu; mv /usr/bin/rsync.away /usr/bin/rsync']);
    expect(code).not.toBe(0);
    expect(lines[0]).toMatchObject({
      type: 'findings',
      findings: [expect.objectContaining({ code: 'CRIU_ABSENT' }), expect.objectContaining({ code: 'RSYNC_ABSENT' })],
    });
    expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'HOST_UNFIT' });
    expect(await files()).toBe(before);
  });

  test.each([
    ['root@nowhere', 'HOST_UNREACHABLE'],
    ['root@10.77.0.250', 'HOST_UNREACHABLE'],
    ['nobody@b', 'HOST_AUTH'],
    ['-oProxyCommand=true', 'USAGE'],
  ])('%s: %s', async (host, code) => {
    const { lines } = await json('host', 'add', '--', host);
    const { stderr } = await drayage('host', 'add', '--', host);
    expect(stderr).toContain(`error ${code}:`);
    expect(lines.at(-1)?.code).toBe(code);
  });

  test('a host with another key than the known one', async () => {
    const known = a.path('/root/.ssh/known_hosts');
    const before = await readFile(known, 'utf8');
    const [mine = ''] = before.split('\n').filter((line) => line.startsWith('a,'));
    await writeFile(known, mine.replace(/^\S+/, 'b'));
    // A session that is shared would not look at the key again.
    await a.run('sh', ['-c', 'rm -rf /run/drayage/ssh']);
    const { lines } = await json('host', 'add', 'root@b');
    await writeFile(known, before);
    expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'HOST_KEY_CHANGED' });
  });
});
