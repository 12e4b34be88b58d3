/** A moved container is an ordinary container of the target's engine: all that people do with one works. */
import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { brokenAt, counts, docker, inspect, logs, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'memory']);
  });
  afterEach(() => pair.clear());

  test('logs hold the whole history, both streams, over three moves', async () => {
    const { a, b } = pair;
    const script = 'i=0; while :; do i=$((i+1)); echo $i; echo err-$i >&2; sleep 0.2; done';
    await runContainer(a, 'talker', 'counter', { command: ['sh', '-c', script] });
    await until('it talks', async () => (await counts(a, 'talker')).length > 3);
    await pair.move(a, 'talker');
    await pair.move(b, 'talker', '--remove');
    await docker(a, 'inspect', 'talker');
    await pair.move(a, 'talker');
    const before = (await counts(b, 'talker')).length;
    await until('it talks on', async () => (await counts(b, 'talker')).length > before + 3);

    const { stdout, stderr } = await b.run('docker', ['logs', 'talker']);
    const out = stdout.split('\n').filter(Boolean).map(Number);
    const err = stderr
      .split('\n')
      .filter(Boolean)
      .map((line) => Number(line.replace('err-', '')));
    expect([brokenAt(out), brokenAt(err), out[0], err[0]]).toEqual([undefined, undefined, 1, 1]);
    const tail = (await docker(b, 'logs', '--tail', '4', 'talker')).split('\n').filter(Boolean);
    expect(tail.length).toBeGreaterThanOrEqual(1);
    const stamped = (await docker(b, 'logs', '--timestamps', 'talker')).split('\n').filter(Boolean);
    const times = stamped.map((line) => line.split(' ')[0] as string);
    expect(times).toEqual(times.toSorted());
    // Since the middle of the history, which another engine wrote.
    const middle = stamped[Math.floor(stamped.length / 3)] as string;
    const since = (await docker(b, 'logs', '--since', middle.split(' ')[0] as string, 'talker')).split('\n');
    expect(since[0]).toBe(middle.split(' ')[1]);
    const follower = b.start('docker', ['logs', '-f', '--tail', '1', 'talker']);
    let followed = '';
    follower.stdout.on('data', (chunk: Buffer) => {
      followed += chunk;
    });
    await until('lines are followed', async () => followed.split('\n').length > 4);
    follower.kill('SIGKILL');
    await follower.exited;
    // The rest goes to a new start, after which the history is still there.
    await docker(b, 'restart', '-t', '0', 'talker');
    await until('it begins anew', async () => (await counts(b, 'talker')).filter((count) => count === 1).length === 2);
    expect(await pair.leftovers()).toEqual([]);
  });

  test('exec, top, stats, cp, commit, attach, stop, start, restart, rm', async () => {
    const { a, b } = pair;
    const script = `trap 'echo got TERM; exit 7' TERM; echo here >/file; i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done`;
    await runContainer(a, 'plain', 'counter', { command: ['sh', '-c', script], flags: ['-p', '8080:80'] });
    await until('it counts', async () => (await counts(a, 'plain')).length > 2);
    const { targetId } = await pair.move(a, 'plain');
    expect(await docker(b, 'ps', '--no-trunc', '--format', '{{.ID}} {{.Names}} {{.State}}')).toBe(
      `${targetId} plain running`,
    );
    expect(await docker(b, 'exec', 'plain', 'cat', '/file')).toBe('here');
    expect(await docker(b, 'exec', '-e', 'X=1', '-w', '/tmp', 'plain', 'sh', '-c', 'echo $X; pwd')).toBe('1\n/tmp');
    expect((await b.run('docker', ['exec', 'plain', 'sh', '-c', 'exit 9'], { okCodes: [9] })).code).toBe(9);
    expect(await terminal(b, 'docker exec -it plain sh -c "tty; stty size; echo done"')).toMatch(
      /\/dev\/pts\/\d+\s[\s\S]*done/,
    );
    expect(await docker(b, 'top', 'plain')).toContain('sleep 0.2');
    const stats = JSON.parse(await docker(b, 'stats', '--no-stream', '--format', 'json', 'plain'));
    expect(stats).toMatchObject({ Name: 'plain' });
    expect(Number(stats.PIDs)).toBeGreaterThanOrEqual(1);
    expect(stats.MemUsage).not.toMatch(/^0B/);
    await docker(b, 'cp', 'plain:/file', '/tmp/copied');
    expect((await b.run('cat', ['/tmp/copied'])).stdout).toBe('here\n');
    await docker(b, 'cp', '/tmp/copied', 'plain:/file2');
    expect(await docker(b, 'exec', 'plain', 'cat', '/file2')).toBe('here');
    await docker(b, 'commit', 'plain', 'committed:1');
    expect(await docker(b, 'run', '--rm', '--pull=never', 'committed:1', 'cat', '/file')).toBe('here');
    expect(await docker(b, 'diff', 'plain')).toContain('A /file');

    const attached = b.start('docker', ['attach', '--no-stdin', '--sig-proxy=false', 'plain']);
    let seen = '';
    attached.stdout.on('data', (chunk: Buffer) => {
      seen += chunk;
    });
    await until('attach shows its output', async () => /\d+\n\d+\n/.test(seen));
    attached.kill('SIGKILL');
    await attached.exited;

    await docker(b, 'pause', 'plain');
    expect((await inspect(b, 'plain')).State.Status).toBe('paused');
    await docker(b, 'unpause', 'plain');
    await docker(b, 'stop', 'plain');
    const { State } = await inspect(b, 'plain');
    expect(State).toMatchObject({ Status: 'exited', ExitCode: 7 });
    expect(await logs(b, 'plain')).toContain('got TERM');
    await docker(b, 'start', 'plain');
    await until('it begins anew', async () => (await logs(b, 'plain')).split('got TERM')[1]?.includes('\n1\n'));
    await docker(b, 'restart', '-t', '1', 'plain');
    expect((await inspect(b, 'plain')).State.Running).toBe(true);
    const again = await pair.move(b, 'plain');
    expect(again.outcome).toBe('committed');
    await docker(a, 'rm', '-f', 'plain');
    expect(await docker(a, 'ps', '-a', '--format', '{{.Names}}')).toMatch(/^plain-moved-\S+$/);
    await docker(b, 'rmi', '-f', 'committed:1');
  });

  test('health checks go on, and the restart policy is in force on the copy and off on the original', async () => {
    const { a, b } = pair;
    const flags = ['--restart', 'always', '--health-cmd', 'test -e /data/count', '--health-interval', '1s'];
    await runContainer(a, 'healthy', 'counter', { flags });
    const isHealthy = async (host: LabHost) =>
      (await docker(host, 'inspect', '-f', '{{.State.Health.Status}}', 'healthy')) === 'healthy';
    await until('it is healthy', () => isHealthy(a));
    const { keptAs = '' } = await pair.move(a, 'healthy');
    await until('it is healthy again', () => isHealthy(b));
    await docker(b, 'exec', 'healthy', 'touch', '/data/still-here');
    expect((await inspect(b, 'healthy')).HostConfig.RestartPolicy?.Name).toBe('always');
    const kept = await inspect(a, keptAs);
    expect(kept.State.Running).toBe(false);
    expect(kept.HostConfig.RestartPolicy?.Name).toBe('no');
    const { Pid } = (await inspect(b, 'healthy')).State;
    await b.run('kill', ['-9', String(Pid)]);
    await until('the engine has restarted it', async () => {
      const { State, RestartCount } = await inspect(b, 'healthy');
      return State.Status === 'running' && State.Pid !== Pid && RestartCount === 1;
    });
    // From its own files, which moved with it.
    await docker(b, 'exec', 'healthy', 'test', '-e', '/data/still-here');
    await until('it is healthy after the restart', () => isHealthy(b));
    expect(await pair.leftovers()).toEqual([]);
  });

  test('after a restart of both hosts the copy comes back, and the original does not', async () => {
    const { lab } = pair;
    await runContainer(pair.a, 'web', 'counter', { flags: ['--restart', 'always', '--log-driver', 'local'] });
    await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
    await pair.move(pair.a, 'web');
    const moved = await counts(pair.b, 'web');
    expect([moved[0], brokenAt(moved)]).toEqual([1, undefined]);
    await Promise.all(['a', 'b'].map((host) => lab.restartHost(host)));
    pair = await Pair.of(version);
    await until(
      'it begins anew',
      async () => (await counts(pair.b, 'web')).filter((count) => count === 1).length === 2,
    );
    expect(await running(pair.a)).toEqual([]);
    await until('the agents are back', () => pair.move(pair.b, 'web').catch(() => undefined));
    expect(await running(pair.a)).toEqual(['web']);
  });

  test('a terminal, and standard input that is kept open', async () => {
    const { a, b } = pair;
    const echo = 'while read -r line; do echo "heard $line"; done; echo end of input';
    await runContainer(a, 'term', 'counter', { flags: ['-t', '-i'], command: ['sh', '-c', `stty size; ${echo}`] });
    await runContainer(a, 'pipe', 'counter', { flags: ['-i'], command: ['sh', '-c', echo] });
    await terminal(a, 'docker attach --detach-keys=q term', 'first\n', 'q');
    await until('the terminal is read', async () => (await logs(a, 'term')).includes('heard first'));
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      await pair.move(from, 'term', ...(from === b ? ['--remove'] : []));
      await pair.move(from, 'pipe', ...(from === b ? ['--remove'] : []));
      await terminal(to, 'docker attach --detach-keys=q term', `on-${to.name}\n`, 'q');
      await until('the terminal is read', async () => (await logs(to, 'term')).includes(`heard on-${to.name}`));
      expect(await docker(to, 'exec', 'term', 'sh', '-c', 'test -t 0 </proc/1/fd/0 && echo yes')).toBe('yes');
      const attached = to.start('docker', ['attach', '--sig-proxy=false', 'pipe']);
      attached.stdin.write(`to-${to.name}\n`);
      await until('the input is read', async () => (await logs(to, 'pipe')).includes(`heard to-${to.name}`));
      attached.kill('SIGKILL');
      await attached.exited;
    }
    expect(await logs(a, 'pipe')).not.toContain('end of input');
  });

  test('with a terminal, too, the network is there before it runs', async () => {
    const { a, b } = pair;
    const watch = 'while :; do [ -e /sys/class/net/eth0 ] || echo no network; echo $((n += 1)) >/count; done';
    await runContainer(a, 'watcher', 'counter', { flags: ['-t', '--cpus', '0.5'], command: ['sh', '-c', watch] });
    const count = async (host: LabHost): Promise<number> =>
      Number(await docker(host, 'exec', 'watcher', 'cat', '/count'));
    await until('it watches', async () => (await count(a)) > 1000);
    await pair.move(a, 'watcher');
    const moved = await count(b);
    await until('it goes on watching', async () => (await count(b)) > moved);
    expect(await logs(b, 'watcher')).toBe('');
  });

  test('limits, identity and private memory are in force there', async () => {
    const { a, b } = pair;
    await mkdir(a.path('/srv'), { recursive: true });
    await writeFile(a.path('/srv/unused'), '');
    const flags = [
      ...[
        '--init',
        '--read-only',
        '--tmpfs',
        '/run:size=4m',
        '--tmpfs',
        '/data',
        '--tmpfs',
        '/www',
        '--shm-size',
        '8m',
      ],
      ...['--ipc', 'private', '--memory', '96m', '--memory-swap', '96m', '--cpus', '0.5', '--pids-limit', '33'],
      ...['--ulimit', 'nofile=333:444', '--cap-add', 'NET_ADMIN', '--cap-drop', 'MKNOD', '--hostname', 'inner'],
      ...['--sysctl', 'net.ipv4.ip_unprivileged_port_start=70', '--label', 'a.b=c', '--env', 'COLOUR=blue'],
      ...[
        '--security-opt',
        'no-new-privileges',
        '--oom-score-adj',
        '77',
        '--dns',
        '10.9.8.7',
        '--add-host',
        'x:1.2.3.4',
      ],
    ];
    await runContainer(a, 'strict', 'counter', { flags });
    await docker(a, 'exec', 'strict', 'sh', '-c', 'echo in tmpfs >/run/t; echo in shm >/dev/shm/s');
    const look = (host: LabHost) =>
      docker(
        host,
        ...['exec', 'strict', 'sh', '-c'],
        `cat /run/t /dev/shm/s; hostname; cat /etc/resolv.conf | grep 10.9; grep 1.2.3.4 /etc/hosts;
         cat /proc/1/comm; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; echo $COLOUR;
         grep -E 'Cap|NoNewPrivs|Seccomp' /proc/1/status; grep 'open files' /proc/1/limits; cat /proc/1/oom_score_adj;
         touch /x 2>&1; df -k /dev/shm /run | awk '{print $1, $2, $6}'; tr '\\0' '\\n' </proc/1/environ | sort`,
      );
    const before = await look(a);
    expect(before).toContain('Read-only file system');
    const limits = await cgroupLimits(a, 'strict');
    await pair.move(a, 'strict');
    expect(await look(b)).toBe(before);
    expect(await cgroupLimits(b, 'strict')).toEqual(limits);
    expect(limits).toMatchObject({ memory: String(96 << 20), pids: '33' });
    const { Pid } = (await inspect(b, 'strict')).State;
    expect((await b.run('cat', [`/proc/${Pid}/cgroup`])).stdout).toContain((await inspect(b, 'strict')).Id);
    // The last limit really bites: more processes than allowed cannot be started.
    const many = 'i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done; wait';
    const { stderr } = await b.run('docker', ['exec', 'strict', 'sh', '-c', many], { okCodes: [0, 1, 2, 255] });
    expect(stderr).toMatch(/can't fork|Resource temporarily unavailable/);
    await docker(b, 'stop', 'strict');
    expect((await inspect(b, 'strict')).State.ExitCode).toBe(0);
    expect(brokenAt(await counts(b, 'strict'))).toBeUndefined();
  });
});

/** What a command line writes to a terminal of its own, with words typed one after another. */
async function terminal(host: LabHost, line: string, ...typed: string[]): Promise<string> {
  const program = host.start('script', ['-qec', line, '/dev/null'], { env: { TERM: 'xterm' }, timeoutMs: 20_000 });
  let seen = '';
  program.stdout.on('data', (chunk: Buffer) => {
    seen += chunk;
  });
  for (const words of typed) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    program.stdin.write(words);
  }
  const killer = setTimeout(() => program.kill('SIGKILL'), 15_000);
  await program.exited;
  clearTimeout(killer);
  return seen;
}

/** As the kernel has them, on either version of control groups. */
async function cgroupLimits(host: LabHost, name: string): Promise<Record<string, string>> {
  const { Id } = await inspect(host, name);
  const read = async (...files: string[]): Promise<string> => {
    const candidates = files.flatMap((file) => [`/sys/fs/cgroup/${file}`]);
    const { stdout } = await host.run('sh', [
      '-c',
      `cat ${candidates.map((file) => file.replace('ID', Id)).join(' ')} 2>/dev/null; true`,
    ]);
    return stdout.trim();
  };
  return {
    memory: await read('memory/docker/ID/memory.limit_in_bytes', 'docker/ID/memory.max'),
    cpu: await read('cpu/docker/ID/cpu.cfs_quota_us', 'docker/ID/cpu.max'),
    pids: await read('pids/docker/ID/pids.max', 'docker/ID/pids.max'),
  };
}
