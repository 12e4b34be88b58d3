/** What cannot be moved, or not now: one clear error each, and the workload runs on as if nothing had been asked. */

import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import type { Finding } from '../../src/migration/finding.ts';
import { brokenAt, codes, counts, docker, Pair, runContainer, running, until } from './harness.ts';

// On one version: what is refused here is refused before an engine is asked for anything in which they differ.
describe.each([26] as const)('Docker %i', (version) => {
  let pair: Pair;
  /** Undone after each test, the newest first. */
  const mend: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'python']);
    await pair.clear();
    await runContainer(pair.a, 'web', 'counter', { flags: ['-p', '8080:80'] });
    await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
  });
  afterEach(async () => {
    while (mend.length > 0) await mend.pop()?.();
    const before = (await counts(pair.a, 'web')).length;
    await until('it counts on', async () => (await counts(pair.a, 'web')).length > before);
    expect(brokenAt(await counts(pair.a, 'web'))).toBeUndefined();
    expect(await pair.leftovers()).toEqual([]);
    expect(await docker(pair.b, 'ps', '-aq')).toBe('');
  });
  afterAll(() => pair.clear());

  /** What the command line says of a move of `web`, or of another one. */
  async function refused({ workload = 'docker:web', to = 'root@b', flags = [] as string[] } = {}) {
    const args = ['migrate', workload, '--to', to, '--json', ...flags];
    const { code, stdout, stderr } = await pair.a.run('drayage', args, { okCodes: ALL, timeoutMs: 30_000 });
    const lines = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const last = lines.at(-1);
    // Either the command line refuses, or a migration that was begun ends so.
    const error = last.type === 'result' ? last.error : last;
    expect(error).toMatchObject({ code: expect.any(String), message: expect.stringMatching(/\S/) });
    expect(error.meaning).toMatch(/\S/);
    expect(error.remedy).toMatch(/\S/);
    expect(stderr).toBe('');
    expect(code).toBe(ERRORS[error.code as ErrorCode].exit);
    return {
      code,
      error: error.code as string,
      message: error.message as string,
      codes: codes({ events: lines, status: code, result: undefined, stderr }),
    };
  }

  async function blocked(finding: string, request: Parameters<typeof refused>[0] = {}): Promise<void> {
    const outcome = await refused(request);
    expect([outcome.code, ...outcome.codes]).toEqual([3, finding, 'MIGRATION_BLOCKED']);
  }

  test('a workload that is not there, or not the only one', async () => {
    expect(await refused({ workload: 'docker:nobody' })).toMatchObject({ code: 66, error: 'WORKLOAD_UNKNOWN' });
    expect(await refused({ workload: 'podman:web' })).toMatchObject({ code: 66, error: 'WORKLOAD_UNKNOWN' });
    const ids: string[] = [];
    mend.push(() => docker(pair.a, 'rm', ...ids));
    let shared: string | undefined;
    while (shared === undefined) {
      ids.push(await docker(pair.a, 'create', '--pull=never', 'counter'));
      shared = ids.map((id) => id[0] as string).find((first) => ids.filter((id) => id.startsWith(first)).length > 1);
    }
    expect(await refused({ workload: shared })).toMatchObject({ code: 65, error: 'WORKLOAD_AMBIGUOUS' });
  });

  test('a workload that is stopped or paused', async () => {
    await docker(pair.a, 'run', '--name', 'done', '--pull=never', 'counter', 'true');
    mend.push(() => docker(pair.a, 'rm', '-f', 'done', 'held'));
    await blocked('NOT_RUNNING', { workload: 'done' });
    await runContainer(pair.a, 'held', 'counter');
    await docker(pair.a, 'pause', 'held');
    await blocked('PAUSED', { workload: 'held' });
    expect(await docker(pair.a, 'inspect', '-f', '{{.State.Paused}}', 'held')).toBe('true');
  });

  test('the same host, an unknown one, and words that mean nothing', async () => {
    expect(await refused({ to: 'root@a' })).toMatchObject({ code: 2, error: 'SAME_HOST' });
    expect(await refused({ to: 'localhost' })).toMatchObject({ error: expect.stringMatching(/SAME_HOST|HOST_/) });
    expect(await refused({ to: 'root@nowhere.invalid' })).toMatchObject({ code: 69, error: 'HOST_UNREACHABLE' });
    expect(await refused({ to: '-oProxyCommand=touch /tmp/pwned' })).toMatchObject({ error: expect.any(String) });
    expect((await pair.a.run('sh', ['-c', 'test ! -e /tmp/pwned'])).code).toBe(0);
    expect(await refused({ flags: ['--frobnicate'] })).toMatchObject({ code: 2, error: 'USAGE' });
  });

  test('a host that shows another key', async () => {
    const known = pair.a.path('/root/.ssh/known_hosts');
    const before = await readFile(known, 'utf8');
    mend.push(() => writeFile(known, before));
    const [mine = ''] = before.split('\n').filter((line) => line.startsWith('a,'));
    await writeFile(known, mine.replace(/^\S+/, 'b'));
    await forgetSessions(pair.a);
    expect(await refused()).toMatchObject({ code: 77, error: 'HOST_KEY_CHANGED' });
    await writeFile(known, '');
    expect(await refused()).toMatchObject({ code: 77, error: 'HOST_KEY_UNKNOWN' });
  });

  test('a host without the program, without its agent, or with another version', async () => {
    const { a, b } = pair;
    mend.push(() => startAgent(b));
    await b.run('mv', ['/usr/local/bin/drayage', '/usr/local/bin/drayage.away']);
    mend.push(() => b.run('mv', ['/usr/local/bin/drayage.away', '/usr/local/bin/drayage']));
    await forgetSessions(a);
    expect(await refused()).toMatchObject({ code: 69, error: 'AGENT_MISSING' });
    await mend.pop()?.();
    await stopAgent(b);
    expect(await refused()).toMatchObject({ code: 69, error: 'HOST_NO_AGENT' });
    const directory = '/usr/local/lib/drayage';
    await b.run('sh', [
      '-c',
      `cd ${directory}; for f in drayage main; do cp $f.mjs $f.kept; sed -i 's/"0\\.1\\.0"/"0.0.9"/' $f.mjs; done`,
    ]);
    mend.push(async () => {
      await stopAgent(b);
      await b.run('sh', ['-c', `cd ${directory}; for f in drayage main; do mv $f.kept $f.mjs; done`]);
    });
    await startAgent(b);
    expect(await refused()).toMatchObject({ code: 76, error: 'AGENT_VERSION' });
  });

  test.each([
    ['is absent', '', 'CRIU_MISSING'],
    ['is too old', 'echo "Version: 3.17.1"', 'CRIU_TOO_OLD'],
    [
      'does not like the kernel',
      'case $1 in check) echo "Error (criu/cr-check.c:1): no CONFIG_CHECKPOINT_RESTORE" >&2; exit 1;; esac; exec /usr/sbin/criu.real "$@"',
      'CRIU_CHECK',
    ],
  ])('CRIU there %s', async (_, script, finding) => {
    const { b } = pair;
    await b.run('mv', ['/usr/sbin/criu', '/usr/sbin/criu.real']);
    mend.push(() => b.run('mv', ['/usr/sbin/criu.real', '/usr/sbin/criu']));
    if (script !== '') await writeFile(b.path('/usr/sbin/criu'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const { code, codes: found } = await refused();
    expect([code, found[0], found.at(-1)]).toEqual([3, finding, 'MIGRATION_BLOCKED']);
  });

  test('a name or a port that is taken there', async () => {
    const { b } = pair;
    await pair.lab.image('counter', ['b']);
    mend.push(() => docker(b, 'rm', '-f', 'web', 'port').catch(() => ''));
    await docker(b, 'create', '--name', 'web', '--pull=never', 'counter');
    await blocked('NAME_TAKEN');
    await docker(b, 'rm', 'web');
    await runContainer(b, 'port', 'counter', { flags: ['-p', '8080:80'] });
    await blocked('PORT_TAKEN');
    await docker(b, 'rm', '-f', 'port');
    const listener = b.start('busybox', ['nc', '-l', '-p', '8080']);
    mend.push(async () => listener.kill('SIGKILL'));
    await until('it listens', async () => (await b.run('ss', ['-ltn'])).stdout.includes(':8080'));
    await blocked('PORT_TAKEN');
  });

  test('not enough memory there', async () => {
    const { b } = pair;
    const less = (await readFile('/proc/meminfo', 'utf8')).replace(/^(MemAvailable:\s+)\d+/m, '$1100');
    await writeFile(b.path('/run/meminfo'), less);
    await b.run('mount', ['--bind', '/run/meminfo', '/proc/meminfo']);
    mend.push(() => b.run('umount', ['/proc/meminfo']));
    await blocked('MEMORY_SHORT');
  });

  test('what CRIU cannot dump is told before anything is frozen', async () => {
    const { a } = pair;
    const program = 'import ctypes, time; ctypes.CDLL(None).syscall(425, 8, (ctypes.c_char * 120)()); time.sleep(1e6)';
    await runContainer(a, 'ring', 'python', {
      flags: ['--security-opt', 'seccomp=unconfined'],
      command: ['python3', '-c', program],
    });
    mend.push(() => docker(a, 'rm', '-f', 'ring'));
    await until('it has its ring', async () =>
      (await a.run('sh', ['-c', `ls -l /proc/$(docker inspect -f '{{.State.Pid}}' ring)/fd`])).stdout.includes(
        'io_uring',
      ),
    );
    await blocked('IO_URING', { workload: 'ring' });
  });

  test('processes of another user move where root may read their limits', async () => {
    const { a, b } = pair;
    const command = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'];
    await runContainer(a, 'user', 'counter', { flags: ['-u', '33:34', '--group-add', '5'], command });
    mend.push(() => docker(a, 'rm', '-f', 'user').catch(() => ''));
    const { stdout } = await a.run('sh', ['-c', "sed -n 's/^CapEff:\\s*//p' /proc/self/status"]);
    const CAP_SYS_RESOURCE = 1n << 24n;
    if ((BigInt(`0x${stdout.trim()}`) & CAP_SYS_RESOURCE) === 0n)
      return blocked('FOREIGN_LIMITS', { workload: 'user' });
    await pair.move(a, 'user', '--remove');
    mend.push(() => docker(b, 'rm', '-f', 'user'));
    await until('it counts on', async () => (await counts(b, 'user')).length > 5);
    expect(await docker(b, 'exec', 'user', 'id')).toContain('uid=33(www-data) gid=34');
    expect(await docker(b, 'top', 'user', '-o', 'uid,gid')).toMatch(/33\s+34/);
    expect(brokenAt(await counts(b, 'user'))).toBeUndefined();
  });

  test('established connections, and what --handover none and --drop-connections do to them', async () => {
    const { a, b } = pair;
    const server = `import socket, time
s = socket.create_server(('', 80))
while True:
    c, _ = s.accept(); c.sendall(b'hello\\n')
    try: print('got', c.recv(100), flush=True)
    except OSError as e: print('lost', flush=True)`;
    await runContainer(a, 'talk', 'python', { flags: ['-p', '9000:80'], command: ['python3', '-c', server] });
    mend.push(() => docker(a, 'rm', '-f', 'talk').catch(() => ''));
    const listens = async () => (await docker(a, 'exec', 'talk', 'cat', '/proc/net/tcp')).includes(':0050 ');
    await until('it listens', listens);
    const client = connectTo(b, a.address, 9000);
    mend.push(async () => client.kill('SIGKILL'));
    await until('it is connected', async () => client.seen().includes('hello'));
    await blocked('TCP_ESTABLISHED', { workload: 'talk', flags: ['--handover', 'none'] });
    const { stdout } = await a.run('drayage', ['check', 'docker:talk', '--to', 'root@b', '--json']);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    expect(findings.filter(({ code }) => code === 'TCP_ESTABLISHED')).toMatchObject([{ severity: 'note' }]);
    const costs = await refused({ workload: 'talk', flags: ['--drop-connections'] });
    expect(costs).toMatchObject({ code: 2, error: 'CONFIRMATION_NEEDED' });
    await pair.move(a, 'talk', '--drop-connections', '--handover', 'none');
    mend.push(() => docker(b, 'rm', '-f', 'talk'));
    await until('the program has lost its client', async () => /got b''|lost/.test(await docker(b, 'logs', 'talk')));
    const second = connectTo(a, b.address, 9000);
    mend.push(async () => second.kill('SIGKILL'));
    await until('it takes new ones', async () => second.seen().includes('hello'));
  });

  test('a journal that is damaged', async () => {
    const { a } = pair;
    const id = '20200101-000000-abcd';
    const path = a.path(`/var/lib/drayage/journal/${id}.source.jsonl`);
    mend.push(async () => {
      await rm(path);
      await restartAgent(a);
    });
    await writeFile(path, randomBytes(5000), { mode: 0o600 });
    await restartAgent(a);
    const history = await a.run('drayage', ['history']);
    expect(history.stdout).toContain(id);
    const show = await a.run('drayage', ['show', id], { okCodes: ALL });
    expect([show.code, show.stderr]).toEqual([74, expect.stringContaining('error JOURNAL_CORRUPT: ')]);
    expect((await a.run('drayage', ['show', '20200101-000000-ffff'], { okCodes: ALL })).code).toBe(66);
    await runContainer(a, 'other', 'counter');
    mend.push(() => docker(a, 'rm', '-f', 'other').catch(() => ''));
    await pair.move(a, 'other', '--remove');
    await docker(pair.b, 'rm', '-f', 'other');
  });

  test('garbage on the socket of the agent, megabytes of it, and silence', async () => {
    const { a } = pair;
    const socket = a.path('/run/drayage/agent.sock');
    const { Pid } = { Pid: (await a.run('cat', ['/run/drayage-supervisor/drayage-agent.pid'])).stdout };
    for (const what of [
      randomBytes(100),
      Buffer.alloc(20 << 20, 'x'),
      Buffer.from('Content-Length: 99999999999\r\n\r\n{}'),
      Buffer.from('Content-Length: 2\r\n\r\n[]'),
    ]) {
      await until('the agent hangs up', () => hungUp(socket, what));
    }
    const silent = connect(socket);
    mend.push(async () => silent.destroy());
    expect((await a.run('drayage', ['ps'])).stdout).toContain('web');
    expect((await a.run('cat', ['/run/drayage-supervisor/drayage-agent.pid'])).stdout).toBe(Pid);
    const rss = Number(/VmHWM:\s+(\d+)/.exec((await a.run('cat', [`/proc/${Pid.trim()}/status`])).stdout)?.[1]);
    expect(rss).toBeLessThan(250 << 10);
    await pair.move(a, 'web');
    await pair.move(pair.b, 'web', '--remove');
  });

  test('a dry run touches nothing, and tells the plan', async () => {
    const { a, b } = pair;
    // Without what docker tells of time.
    const containers = ['ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Names}} {{.State}} {{.Ports}}'];
    const state = async () => `${await docker(a, ...containers)}\n${await docker(b, 'images', '-q')}`;
    const before = await state();
    const { stdout } = await a.run('drayage', ['migrate', 'web', '--to', 'root@b', '--dry-run', '--json']);
    const lines = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    expect(lines.map(({ type }) => type)).toEqual(['findings', 'plan']);
    expect(await state()).toBe(before);
    expect((await running(a)).sort()).toEqual(['web']);
  });
});

const ALL = Array.from({ length: 256 }, (_, status) => status);

async function stopAgent(host: LabHost): Promise<void> {
  await host.run('sh', [
    '-c',
    'mv /etc/drayage/agent.enabled /etc/drayage/agent.disabled 2>/dev/null; kill $(cat /run/drayage-supervisor/drayage-agent.pid)',
  ]);
  await until(
    'the agent is gone',
    async () =>
      (await host.run('sh', ['-c', 'test ! -e /run/drayage-supervisor/drayage-agent.pid && echo gone'])).stdout !== '',
  );
}

async function startAgent(host: LabHost): Promise<void> {
  await host.run('sh', ['-c', 'mv /etc/drayage/agent.disabled /etc/drayage/agent.enabled 2>/dev/null; true']);
  await until('the agent answers', async () => (await host.run('drayage', ['ps'])).code === 0);
}

async function restartAgent(host: LabHost): Promise<void> {
  await stopAgent(host);
  await startAgent(host);
}

/** Sessions of ssh that are shared would not look at keys and programs again. */
async function forgetSessions(host: LabHost): Promise<void> {
  await host.run('sh', [
    '-c',
    'for s in /run/drayage/ssh/*; do [ ! -S "$s" ] || ssh -o ControlPath="$s" -O exit b; done 2>/dev/null; rm -rf /run/drayage/ssh/*; true',
  ]);
}

function connectTo(host: LabHost, address: string, port: number) {
  const client = host.start('busybox', ['nc', address, String(port)]);
  let seen = '';
  client.stdout.on('data', (chunk: Buffer) => {
    seen += chunk;
  });
  client.stdin.on('error', () => {});
  return { seen: () => seen, kill: (signal: NodeJS.Signals) => client.kill(signal) };
}

/** Whether the other side has closed the connection after it was sent this. */
function hungUp(path: string, what: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.on('close', () => resolve(true));
    socket.setTimeout(10_000, () => {
      socket.destroy();
      resolve(false);
    });
    socket.write(what);
    socket.resume();
  });
}
