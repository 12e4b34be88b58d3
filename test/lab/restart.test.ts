/** Moves by restart: what cannot move live, what does not run, and what becomes of a copy that does not come up. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { Decision } from '../../src/migration/strategy.ts';
import { cut, expectOneWholeCopy, inTurn, kill, migrateWith, type Point } from './faults.ts';
import { brokenAt, codes, counts, docker, inspect, logs, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** Counts from where its file ends, and is stopped between two numbers. */
const COUNTER = `stop=; trap 'stop=1' TERM; i=$(cat /data/n 2>/dev/null || echo 0)
while [ -z "$stop" ]; do i=$((i+1)); echo $i >/data/.n; mv /data/.n /data/n; echo $i; sleep 0.1; done`;
/** What a busy machine of two cores adds to an outage of seconds. */
const BUSY_MS = 5000;
const RESTART = ['--strategy', 'restart'];
/** Nobody answers there. */
const NOBODY = 'http://localhost:9/';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'python', 'redis', 'nginx']);
    await pair.clear();
    for (const host of [pair.a, pair.b]) await host.run('sh', ['-c', `echo ${host.name} >/etc/machine-id`]);
  });
  afterEach(async () => {
    await pair.lab.restoreLink('b');
    await pair.ready();
    await pair.clear();
  });

  test('what cannot move live is explained, and moves by restart where that is allowed', async () => {
    const { a, b } = pair;
    const program = `import ctypes, time, os
ctypes.CDLL(None).syscall(425, 8, (ctypes.c_char * 120)())
n = int(open('/data/n').read() if os.path.exists('/data/n') else 0) + 1
open('/data/n', 'w').write(str(n)); open('/root/own', 'a').write('x')
print('start', n, flush=True)
while True: time.sleep(1)`;
    const flags = ['--security-opt', 'seccomp=unconfined', '-v', 'data:/data', '--restart', 'unless-stopped', '-t'];
    await runContainer(a, 'ring', 'python', {
      flags: [...flags, '--stop-timeout', '1'],
      command: ['python3', '-c', program],
    });
    await until('it runs', async () => (await logs(a, 'ring')).includes('start 1'));

    const refused = await pair.migrate(a, 'ring');
    expect([refused.status, ...codes(refused)]).toEqual([3, 'IO_URING', 'MIGRATION_BLOCKED']);
    expect(JSON.stringify(refused.events.at(-1))).toContain('--allow-restart');
    expect(await running(a)).toEqual(['ring']);

    const { stdout } = await a.run('drayage', ['check', 'ring', '--to', 'root@b', '--json'], { okCodes: [3] });
    const { restart } = JSON.parse(stdout) as Decision;
    expect(restart?.plan).toMatchObject({ strategy: 'restart', restart: { stopMs: 1000, healthy: 'running' } });
    expect(restart?.plan.restart?.lost[0]).toMatch(/memory/);

    const { outageMs } = await pair.move(a, 'ring', '--allow-restart');
    expect(outageMs).toBeLessThan((restart?.plan.predictedOutageMs ?? 0) + BUSY_MS);
    expect(await running(a)).toEqual([]);
    expect(await running(b)).toEqual(['ring']);
    expect(await logs(b, 'ring')).toMatch(/start 1\s+start 2\s*$/);
    expect(await docker(b, 'exec', 'ring', 'cat', '/data/n', '/root/own')).toBe('2xx');
    expect((await inspect(b, 'ring')).HostConfig.RestartPolicy).toMatchObject({ Name: 'unless-stopped' });
    expect((await inspect(a, (await keptOn(a)) ?? '')).HostConfig.RestartPolicy).toMatchObject({ Name: 'no' });
    expect(await pair.leftovers()).toEqual([]);

    // Home again, onto the volume that the kept copy has.
    await pair.move(b, 'ring', '--allow-restart', '--remove');
    expect(await logs(a, 'ring')).toMatch(/start 3\s*$/);
    expect(await docker(b, 'ps', '-aq')).toBe('');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('redis keeps what it has written', async () => {
    const { a, b } = pair;
    const save = ['redis-server', '--save', '3600 1', '--dir', '/data', '--protected-mode', 'no'];
    await runContainer(a, 'cache', 'redis', { flags: ['-v', 'keys:/data'], command: save });
    await until('it answers', async () => (await docker(a, 'exec', 'cache', 'redis-cli', 'PING')) === 'PONG');
    const fill = "for i = 1, 2000 do redis.call('set', 'key:' .. i, i .. string.rep('x', 1000)) end";
    await docker(a, 'exec', 'cache', 'redis-cli', 'EVAL', fill, '0');
    await pair.move(a, 'cache', ...RESTART, '--remove');
    expect(await docker(b, 'exec', 'cache', 'redis-cli', 'DBSIZE')).toBe('2000');
    expect(await docker(b, 'exec', 'cache', 'redis-cli', 'STRLEN', 'key:1234')).toBe('1004');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('new clients of nginx wait at the old address, whether it moves or not', async () => {
    const { a, b, lab } = pair;
    await runContainer(a, 'web', 'nginx', { flags: ['-p', '8080:80'] });
    const client = lab.host('c');
    const ask = ['wget', '-q', '-T', '20', '-O', '-', `http://${a.address}:8080/`];
    const get = async () => (await client.run('busybox', ask)).stdout;
    const page = await until('it serves', get);
    let over = false;
    const others: string[] = [];
    let served = 0;
    const asking = (async () => {
      while (!over) {
        const answer = await get().catch((error: Error) => error.message);
        if (answer === page) served += 1;
        else others.push(answer);
      }
    })();
    await migrateWith(pair, { phase: 'commit', afterMs: 500 }, interrupted, {
      flags: [...RESTART, '--healthy-url', NOBODY],
    });
    const before = served;
    // Who asked while it was held asks again after ever longer pauses.
    await until('clients are served by the old one', async () => served > before + 3, 60_000);
    expect(await running(a)).toEqual(['web']);
    // No need to wait for seconds where an address tells.
    const { outageMs } = await pair.move(a, 'web', ...RESTART, '--healthy-url', 'http://localhost:8080/');
    expect(outageMs).toBeLessThan(3000);
    const between = served;
    await until('clients are served by the copy', async () => served > between + 3);
    over = true;
    await asking;
    expect(others).toEqual([]);
    expect(await running(b)).toEqual(['web']);
    expect(await pair.leftovers()).toEqual([]);
  });

  test.each(['exited', 'created'])('a container that is %s moves and stays stopped', async (state) => {
    const { a, b } = pair;
    const flags = ['-v', 'data:/data', '--restart', 'unless-stopped', '--name', 'web'];
    await docker(
      a,
      'create',
      '--pull=never',
      ...flags,
      'counter',
      'sh',
      '-c',
      'echo here | tee -a /data/f /root/f; sleep 1000',
    );
    if (state === 'exited') {
      await docker(a, 'start', 'web');
      await until('it has written', async () => (await logs(a, 'web')).includes('here'));
      await docker(a, 'stop', '-t', '0', 'web');
    }
    const refused = await pair.migrate(a, 'web');
    expect([refused.status, ...codes(refused)]).toEqual([3, 'NOT_RUNNING', 'MIGRATION_BLOCKED']);
    const moved = await pair.move(a, 'web', ...RESTART);
    expect(moved.outageMs).toBeNull();
    expect([...(await running(a)), ...(await running(b))]).toEqual([]);
    expect((await inspect(b, 'web')).HostConfig.RestartPolicy).toMatchObject({ Name: 'unless-stopped' });
    expect(await pair.leftovers()).toEqual([]);
    await docker(b, 'start', 'web');
    const times = state === 'exited' ? 2 : 1;
    await until('it has written', async () => (await logs(b, 'web')) === 'here\n'.repeat(times));
    expect(await docker(b, 'exec', 'web', 'cat', '/root/f', '/data/f')).toBe('here\n'.repeat(2 * times).trim());
  });

  test.each([
    ['it ends at once', `grep -q a /host || exit 3; ${COUNTER}`, [], /exit status 3/],
    [
      'its health check fails',
      COUNTER,
      ['--health-cmd', 'grep -q a /host', '--health-interval', '500ms', '--health-retries', '2'],
      /health check fails/,
    ],
    ['it cannot be started there', COUNTER, ['--device', '/dev/drayage-none'], /drayage-none/],
  ])('a copy that does not come up is undone: %s', async (_, script, flags, reason) => {
    const { a, b } = pair;
    await a.run('sh', ['-c', '[ -e /dev/drayage-none ] || mknod /dev/drayage-none c 1 3']);
    const all = ['-v', 'data:/data', '-v', '/etc/machine-id:/host:ro', '--restart', 'always', ...flags];
    await runContainer(a, 'web', 'counter', { flags: all, command: ['sh', '-c', script] });
    await until('it counts', async () => (await counts(a, 'web')).length > 3);
    const { result, status } = await pair.migrate(a, 'web', ...RESTART);
    expect(status).toBe(4);
    expect(result).toMatchObject({ outcome: 'undone' });
    expect(result?.error?.message).toMatch(reason);
    expect(await running(a)).toEqual(['web']);
    expect(await docker(b, 'ps', '-aq')).toBe('');
    expect((await inspect(a, 'web')).HostConfig.RestartPolicy).toMatchObject({ Name: 'always' });
    const before = (await counts(a, 'web')).length;
    await until('it counts on', async () => (await counts(a, 'web')).length > before + 3);
    expect(brokenAt(await counts(a, 'web'))).toBeUndefined();
    expect(await pair.leftovers()).toEqual([]);
  });

  test('while the copy is waited for nobody starts it by its name; Ctrl-C gives it back', async () => {
    const { a } = pair;
    await counter(a);
    let status: number | null = 0;
    const startedByName = async (all: Pair, strike: () => Promise<void>): Promise<undefined> => {
      status = (await a.run('docker', ['start', 'web'], { okCodes: [1] })).code;
      return interrupted(all, strike);
    };
    await migrateWith(pair, { phase: 'commit', afterMs: 500 }, startedByName, {
      flags: [...RESTART, '--healthy-url', NOBODY],
    });
    expect(status).toBe(1);
    expect(await running(a)).toEqual(['web']);
    await expectOneWholeCopy(pair);
  });

  test('a container that is removed when it stops is refused', async () => {
    const { a } = pair;
    await runContainer(a, 'web', 'counter', { flags: ['--rm'] });
    const refused = await pair.migrate(a, 'web', ...RESTART);
    expect([refused.status, ...codes(refused)]).toEqual([3, 'REMOVED_BY_STOP', 'MIGRATION_BLOCKED']);
  });

  const POINTS: Point[] = [
    { phase: 'stop', afterMs: 0 },
    { phase: 'stop', afterMs: 100 },
    { phase: 'sync', afterMs: 0 },
    { phase: 'start', afterMs: 0 },
    { phase: 'start', afterMs: 150 },
    { phase: 'commit', afterMs: 0 },
    { phase: 'commit', afterMs: 1500 },
    { phase: 'commit', afterMs: 3000 },
    { phase: 'release', afterMs: 0 },
  ];
  const FAULTS: Record<string, (pair: Pair) => ReturnType<typeof cut> | Promise<undefined>> = {
    'the source agent is killed': ({ a }) => kill(a, 'drayage-agent'),
    'the target agent is killed': ({ b }) => kill(b, 'drayage-agent'),
    'the link is cut': (all) => cut(all, 'both'),
  };
  for (const [turn, [name, fault]] of Object.entries(FAULTS).entries()) {
    test.each(inTurn(POINTS, version, turn))(`${name}: $phase + $afterMs ms`, async (point) => {
      await counter(pair.a);
      await migrateWith(pair, point, fault, { flags: RESTART });
      await expectOneWholeCopy(pair);
    });
  }

  test.each<[string, 'a' | 'b', Point]>([
    ['the source while the last differences go', 'a', { phase: 'sync', afterMs: 0 }],
    ['the source while the copy is waited for', 'a', { phase: 'commit', afterMs: 500 }],
    ['the target while the copy is waited for', 'b', { phase: 'commit', afterMs: 500 }],
  ])('a restart of the host of %s', async (_, host, point) => {
    await counter(pair.a);
    const restart = async ({ lab }: Pair) => {
      await lab.restartHost(host);
      pair = await Pair.of(version);
      return undefined;
    };
    await migrateWith(pair, point, restart, { flags: RESTART });
    await expectOneWholeCopy(pair);
  });

  test('a source that takes its time to stop is started again when its agent died meanwhile', async () => {
    const { a } = pair;
    const slow = COUNTER.replace("trap 'stop=1' TERM", "trap 'sleep 4; stop=1' TERM");
    await runContainer(a, 'web', 'counter', { flags: ['-v', 'data:/data'], command: ['sh', '-c', slow] });
    await until('it counts', async () => (await counts(a, 'web')).length > 2);
    const kept = await inspect(a, 'web');
    await migrateWith(pair, { phase: 'stop', afterMs: 500 }, () => kill(a, 'drayage-agent'), { flags: RESTART });
    await until('it was started again', async () => (await inspect(a, 'web')).State.StartedAt !== kept.State.StartedAt);
    await expectOneWholeCopy(pair);
  });
});

/** On a volume, as `web`, with a restart policy that would revive it. */
async function counter(host: LabHost): Promise<void> {
  const flags = ['-v', 'data:/data', '--restart', 'always'];
  await runContainer(host, 'web', 'counter', { flags, command: ['sh', '-c', COUNTER] });
  await until('it counts', async () => (await counts(host, 'web')).length > 2);
}

async function keptOn(host: LabHost): Promise<string | undefined> {
  const names = (await docker(host, 'ps', '-a', '--format', '{{.Names}}')).split('\n');
  return names.find((name) => name.includes('-moved-'));
}

/** Ctrl-C, as a fault. */
async function interrupted(_: Pair, strike: () => Promise<void>): Promise<undefined> {
  await strike();
  return undefined;
}
