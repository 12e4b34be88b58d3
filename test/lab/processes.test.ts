/** Trees of processes that no engine keeps, moved there and back: nothing lost, nothing repeated, nothing left. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { ensurePrograms } from '../../lab/packages.ts';
import { runner, type Started } from '../../src/exec/run.ts';
import { brokenAt, codes, docker, forwards, Pair, startAs, until } from './harness.ts';
import { ANY_DOCKER } from './setup.ts';

const PROGRAMS = 'test/lab/programs';
const ASK = 'import socket, sys; print(socket.create_connection((sys.argv[1], 6500), 5).makefile().read())';
/** Where the programs of these tests run, on either host. */
const HOME = '/srv/processes';

describe('processes', () => {
  let pair: Pair;
  let scratch: string;
  /** Numbers of processes are chosen, so that the other host has them free. */
  let lastPid = 30_000;

  beforeAll(async () => {
    pair = await Pair.of(ANY_DOCKER, ['redis']);
    scratch = await mkdtemp(join(tmpdir(), 'processes-'));
  });
  afterAll(() => rm(scratch, { recursive: true }));
  beforeEach(async () => {
    // Also what a test has left that failed.
    const script = `pkill -KILL -f ${HOME}[/]; rm -rf ${HOME} /root/*.drayage; mkdir -p ${HOME}`;
    for (const host of [pair.a, pair.b]) await host.run('sh', ['-c', script]);
  });

  test('a loop on a terminal goes on in the terminal of its user', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
    const first = await onTerminal(a, `echo ${nextPid()} >/proc/sys/kernel/ns_last_pid; exec bash --norc -i`);
    first.type(`sh ${HOME}/loop.sh\r`);
    await until('it counts', async () => first.numbers().length > 5);
    const pid = await pidOf(a, `sh ${HOME}/loop.sh`);

    const second = await onTerminal(a, `drayage migrate process:${pid} --to root@b --yes --attach`);
    await until('it counts on', async () => second.numbers().length > 20, 60_000);
    expect(await isRunning(a, pid)).toBe(false);
    // What was shown before the move stays on the old terminal.
    expect(brokenAt([...first.numbers(), ...second.numbers()])).toBeUndefined();

    // Leaving and coming back; meanwhile it goes on.
    second.type('\u0010\u0011');
    await second.ended;
    expect(second.text()).toContain('the processes go on');
    // The terminal is not the agent's: nothing ends with it.
    await b.kill9('drayage-agent');
    await pair.ready();
    const third = await onTerminal(a, `stty cols 77 rows 33; drayage attach process:${pid} --host root@b`);
    const last = second.numbers().at(-1) ?? 0;
    await until('it is seen again', async () => (third.numbers().at(-1) ?? 0) > last + 10);
    expect(brokenAt(third.numbers())).toBeUndefined();
    const size = await b.run('sh', ['-c', `stty -F /proc/${pid}/fd/0 size`]);
    expect(size.stdout.trim()).toBe('33 77');
    third.type('\u0010\u0011');
    await third.ended;

    const home = await onTerminal(b, `drayage migrate process:${pid} --to root@a --yes --attach`);
    await until('it counts on', async () => home.numbers().length > 20, 60_000);
    expect(brokenAt(home.numbers())).toBeUndefined();
    // Ctrl-C is the loop's again, and its end that of the terminal.
    home.type('\u0003');
    await home.ended;
    expect(home.text()).toContain('the terminal has ended');
    expect(await isRunning(a, pid)).toBe(false);
    first.end();
    await cleanEverywhere();
  });

  test('a shell moves with all that runs in it, as the leader of its session', async () => {
    const { a, b } = pair;
    const first = await onTerminal(a, `echo ${nextPid()} >/proc/sys/kernel/ns_last_pid; exec bash --norc -i`);
    first.type('cd /srv/processes; PS1="ready> "; kept=value; sleep 1000 &\r');
    await until('it has a job', async () => /\[1\] \d+/.test(first.text()));
    const pid = Number((await a.run('sh', ['-c', 'pgrep -n -x bash'])).stdout);
    await pair.move(a, `process:${pid}`);
    await first.ended;
    const second = await onTerminal(b, `drayage attach process:${pid}`);
    second.type('echo $kept; jobs; echo of $(ps -o tpgid= -p $$)\r');
    await until('it answers', async () => /value\r\n\[1\]\+ +Running +sleep 1000 &\r\nof +\d+/.test(second.text()));
    second.type('exit\r');
    await until('it has ended', async () => !(await isRunning(b, pid)));
    await b.run('pkill', ['-x', 'sleep'], { okCodes: [0, 1] });
    await cleanEverywhere();
  });

  test('a C program that only the source has tells of its own gaps', async () => {
    const { a, b } = pair;
    await compile('gaps', a);
    const pid = await start(a, `exec ${HOME}/gaps`);
    await until('it runs', async () => (await lines(a, 'log')).length > 0);
    for (const [from, to] of there(a, b)) {
      const { outageMs } = await pair.move(from, `process:${pid}`);
      await until('it goes on', async () => (await lines(to, 'log')).length > (await lines(from, 'log')).length + 1);
      expect(await isRunning(from, pid)).toBe(false);
      const gaps = (await lines(to, 'log')).map((line) => Number(line.split(' ')[1]));
      const longest = Math.max(...gaps);
      process.stderr.write(`gaps: the longest took ${longest} ms, the move says ${outageMs}\n`);
      expect(longest).toBeGreaterThan(20);
      expect(longest).toBeLessThan(3000);
    }
    await kill(a, pid);
    await cleanEverywhere();
  });

  test('processes with threads and pipes between them lose no number', async () => {
    const { a, b } = pair;
    await copyFile(join(PROGRAMS, 'workers.py'), a.path(`${HOME}/workers.py`));
    const pid = await start(a, `exec python3 ${HOME}/workers.py`);
    await until('they count', async () => (await lines(a, 'log')).length > 3);
    for (const [from, to] of there(a, b)) {
      await pair.move(from, `process:${pid}`);
      const before = Number((await lines(to, 'log')).at(-1));
      await until('they count on', async () => Number((await lines(to, 'log')).at(-1)) > before + 100);
    }
    expect((await lines(a, 'log')).every((line) => /^\d+$/.test(line))).toBe(true);
    await kill(a, pid);
    await a.run('pkill', ['-f', 'workers.py'], { okCodes: [0, 1] });
    await cleanEverywhere();
  });

  test('locks, a deleted file, a zombie, a timer, a watch, a signal that waits and Unix sockets go along', async () => {
    const { a, b } = pair;
    await compile('watch', a);
    await copyFile(join(PROGRAMS, 'holder.py'), a.path(`${HOME}/holder.py`));
    const pid = await start(a, `exec python3 ${HOME}/holder.py`);
    await until('it counts', async () => (await lines(a, 'log')).length > 3);
    for (const [from, to] of there(a, b)) {
      await pair.move(from, `process:${pid}`);
      const before = (await lines(to, 'log')).length;
      await until('it counts on', async () => (await lines(to, 'log')).length > before + 5);
      const rounds = (await lines(to, 'log')).map((line) => Number(line.split(' ')[0]));
      expect(brokenAt(rounds)).toBeUndefined();
      const ticks = (await lines(to, 'log')).map((line) => Number(line.split(' ')[1]));
      expect(ticks.at(-1)).toBeGreaterThan((ticks[before] ?? 0) + 3);
      for (const command of [
        'flock -n held.flock true',
        "python3 -c \"import fcntl; fcntl.lockf(open('held.lock', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\"",
      ]) {
        const { code } = await to.run('sh', ['-c', `cd ${HOME}; ${command}`], { okCodes: [0, 1] });
        expect(code).toBe(1);
      }
      expect((await to.run('sh', ['-c', `ps -o stat= --ppid ${pid}`])).stdout).toMatch(/^Z/);
    }
    await kill(a, pid);
    await a.run('pkill', ['-x', 'watch']);
    await cleanEverywhere();
  });

  test('a redis that was started by hand, with libraries that only the source has', async () => {
    const { a, b } = pair;
    await docker(a, 'create', '--pull=never', '--name', 'files', 'redis');
    await a.run('sh', ['-c', 'docker export files | tar -C / -x --skip-old-files usr/bin usr/lib']);
    await docker(a, 'rm', 'files');
    const pid = await start(a, "exec redis-server --port 6400 --save '' --dir .");
    const ask = async (host: LabHost, ...words: string[]): Promise<string> =>
      (await a.run('redis-cli', ['-h', host.address, '-p', '6400', ...words])).stdout.trim();
    await until('it answers', async () => (await a.run('redis-cli', ['-p', '6400', 'ping'])).stdout.trim() === 'PONG');
    await a.run('redis-cli', ['-p', '6400', 'config', 'set', 'protected-mode', 'no']);
    await ask(a, 'eval', "for i = 1, 20000 do redis.call('set', 'key:' .. i, string.rep('x', 1000)) end", '0');
    const listed = JSON.parse((await a.run('drayage', ['ps', '--processes', '--json'])).stdout);
    expect(listed).toContainEqual(
      expect.objectContaining({ ref: { engine: 'process', name: `${pid}` }, hindrances: [] }),
    );
    for (const [from, to] of there(a, b)) {
      await pair.move(from, 'process:redis-server');
      expect(await ask(to, 'strlen', 'key:4711')).toBe('1000');
      expect(await ask(to, 'incr', 'moves')).toBe(from === a ? '1' : '2');
    }
    await kill(a, pid);
    await cleanEverywhere();
  });

  test('clients of the old host find a port that has moved, and the relay makes way when it comes home', async () => {
    const { a, b } = pair;
    await copyFile(join(PROGRAMS, 'answer.py'), a.path(`${HOME}/answer.py`));
    const pid = await start(a, `exec python3 ${HOME}/answer.py`);
    const ask = (from: LabHost, host: string) => from.run('python3', ['-c', ASK, host], { okCodes: [0, 1] });
    const answer = async (from: LabHost, host: string): Promise<number> => Number((await ask(from, host)).stdout);
    let count = await until('it answers', () => answer(a, '127.0.0.1'));
    const { id } = await pair.move(a, `process:${pid}`);
    for (const [from, host] of [
      [a, '127.0.0.1'],
      [a, a.address],
      [b, a.address],
    ] as const) {
      count += 1;
      expect(await answer(from, host)).toBe(count);
    }
    expect(await forwards(a)).toMatchObject([{ id, workload: `process:${pid}`, role: 'source', peer: 'root@b' }]);
    await a.kill9('drayage-agent');
    await pair.ready();
    count = await until('it is relayed again', () => answer(b, a.address));

    expect(codes(await pair.migrate(b, `process:${pid}`, '--dry-run'))).not.toContain('PORT_IN_USE');
    const home = await pair.move(b, `process:${pid}`);
    expect(await answer(b, a.address)).toBe(count + 1);
    expect(await answer(a, b.address)).toBe(count + 2);
    expect(await forwards(a)).toEqual([]);
    await b.run('drayage', ['forwards', 'rm', home.id]);
    expect((await ask(a, b.address)).code).toBe(1);
    await kill(a, pid);
    await cleanEverywhere();
  });

  test('what starts programs all the time is caught between two of them', async () => {
    const { a, b } = pair;
    const pid = await start(a, 'while :; do /bin/true; done', '/dev/null');
    for (let i = 0; i < 4; i++) for (const [from] of there(a, b)) await pair.move(from, `process:${pid}`);
    await kill(a, pid);
    await cleanEverywhere();
  });

  test('limits of memory, processors and tasks hold on the other host, too', async () => {
    const { a, b } = pair;
    const group = (kind: string, at: string) => `/sys/fs/cgroup/${kind}${at}`;
    const limits = { memory: 'memory.limit_in_bytes', cpu: 'cpu.cfs_quota_us', pids: 'pids.max' };
    const kinds = ['memory', 'cpu', 'pids'] as const;
    const values = { memory: 64 << 20, cpu: 150_000, pids: 50 };
    const pid = await start(a, 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done');
    for (const kind of kinds) {
      const at = group(kind, '/drayage-test-limits');
      await a.run('sh', [
        '-c',
        `mkdir -p ${at}; echo ${values[kind]} >${at}/${limits[kind]}; echo ${pid} >${at}/cgroup.procs`,
      ]);
    }
    const cgroupOf = async (host: LabHost, kind: string): Promise<string> =>
      /:(\/.*)/.exec((await host.run('grep', [`:${kind}:`, `/proc/${pid}/cgroup`])).stdout)?.[1] ?? '';
    for (const [from, to] of there(a, b)) {
      const before = await cgroupOf(from, 'memory');
      await pair.move(from, `process:${pid}`);
      for (const kind of kinds) {
        const at = group(kind, await cgroupOf(to, kind));
        expect(Number((await to.run('cat', [`${at}/${limits[kind]}`])).stdout)).toBe(values[kind]);
      }
      const left = await from.run('sh', ['-c', `[ -e ${group('memory', before)} ]`], { okCodes: [0, 1] });
      expect(left.code).toBe(1);
    }
    const last = await Promise.all(kinds.map(async (kind) => group(kind, await cgroupOf(a, kind))));
    await kill(a, pid);
    await a.run('sh', ['-c', `sleep 0.3; rmdir ${last.join(' ')}`]);
    await cleanEverywhere();
  });

  test('an export goes on from its count where it is imported, and a snapshot is a second copy', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
    const pid = await start(a, `exec sh ${HOME}/loop.sh`);
    await a.run('drayage', ['snapshot', `process:${pid}`, '-o', '/root/snapshot.drayage', '--yes']);
    const inside = JSON.parse((await a.run('drayage', ['inspect', '/root/snapshot.drayage', '--json'])).stdout);
    expect(inside.manifest).toMatchObject({ kind: 'snapshot', workload: `process:${pid}`, image: null });
    expect(inside.processes[0].command).toEqual(['sh', `${HOME}/loop.sh`]);
    const counted = (await lines(a, 'log')).length;
    await until('it goes on', async () => (await lines(a, 'log')).length > counted + 5);

    await a.run('drayage', ['export', `process:${pid}`, '-o', '/root/loop.drayage', '--yes']);
    expect(await isRunning(a, pid)).toBe(false);
    const last = (await lines(a, 'log')).length;
    await copyFile(a.path('/root/loop.drayage'), b.path('/root/loop.drayage'));
    await b.run('drayage', ['import', '/root/loop.drayage', '--yes']);
    await until('it counts on', async () => (await lines(b, 'log')).length > last + 5);
    expect(brokenAt((await lines(b, 'log')).map(Number))).toBeUndefined();
    const again = await b.run('drayage', ['import', '/root/loop.drayage', '--yes'], { okCodes: [65] });
    expect(again.stderr).toContain('ARCHIVE_IMPORTED');
    await kill(b, pid);

    // Its file was written on since.
    const refused = await a.run('drayage', ['import', '/root/snapshot.drayage', '--yes'], { okCodes: [0, 3] });
    if (refused.code === 3) await a.run('drayage', ['import', '/root/snapshot.drayage', '--yes', '--replace-files']);
    expect(await isRunning(a, pid)).toBe(true);
    await kill(a, pid);
    for (const host of [a, b]) await host.run('sh', ['-c', 'rm -f /root/*.drayage']);
    await cleanEverywhere();
  });

  test('what is in the way is told beforehand', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'while :; do sleep 0.1; done\n');
    await put(b, 'loop.sh', 'while :; do sleep 0.2; done\n');
    const pid = await start(a, `exec sh ${HOME}/loop.sh`, '/dev/null');
    expect(codes(await pair.migrate(a, `process:${pid}`))).toContain('FILES_DIFFER');
    const moved = await pair.migrate(a, `process:${pid}`, '--replace-files');
    expect(moved.result).toMatchObject({ outcome: 'committed' });
    expect((await b.run('cat', [`${HOME}/loop.sh`])).stdout).toContain('0.1');
    // Its number is free no more.
    await startAs(a, pid, 'sleep 1000');
    expect(codes(await pair.migrate(b, `process:${pid}`))).toContain('PIDS_TAKEN');
    await kill(b, pid);
    await a.run('pkill', ['-x', 'sleep']);
    await cleanEverywhere();
  });

  test('what another migration has frozen stays frozen, also as a child of what is to be moved', async () => {
    const { a } = pair;
    const parent = await start(a, 'sh -c "echo \\$\\$ >child; while :; do sleep 0.1; done" & wait');
    const child = await until('its child runs', async () => Number((await a.run('cat', [`${HOME}/child`])).stdout));
    // As one leaves it that is in doubt. The hosts of a lab share the machine's cgroups.
    const cgroup = `/sys/fs/cgroup/freezer/drayage-doubt${process.pid}-source`;
    await a.run('sh', [
      '-c',
      `mkdir ${cgroup}; echo ${child} >${cgroup}/cgroup.procs; echo FROZEN >${cgroup}/freezer.state`,
    ]);
    try {
      for (const pid of [child, parent]) {
        expect(codes(await pair.migrate(a, `process:${pid}`)), `process ${pid}`).toContain('WORKLOAD_BUSY');
        const { stdout } = await a.run('sh', ['-c', `cat ${cgroup}/freezer.state /proc/${child}/cgroup`]);
        expect(stdout).toMatch(/^FROZEN$/m);
        expect(stdout).toContain('-source');
      }
    } finally {
      const home = '/sys/fs/cgroup/freezer/cgroup.procs';
      const leave = `for pid in $(cat ${cgroup}/cgroup.procs); do echo $pid >${home}; done`;
      await a.run('sh', ['-c', `echo THAWED >${cgroup}/freezer.state; ${leave}; sleep 0.5; ${leave}; rmdir ${cgroup}`]);
    }
    for (const pid of [parent, child]) await kill(a, pid);
    await cleanEverywhere();
  });

  test('a copy that runs after all is dead before a human lets the source go on', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'while :; do sleep 0.1; done\n');
    const pid = await start(a, `exec sh ${HOME}/loop.sh`);
    const { id } = await pair.move(a, `process:${pid}`);
    // As where CRIU stood still while the target's agent looked whether the copy had run.
    const cgroup = `/sys/fs/cgroup/freezer/drayage-${id}`;
    await b.run('sh', ['-c', `mkdir ${cgroup}; echo ${pid} >${cgroup}/cgroup.procs`]);
    for (const [host, side] of [
      [a, 'source'],
      [b, 'target'],
    ] as const) {
      const unknown = JSON.stringify({ time: 1, type: 'state', state: 'unknown' });
      await host.run('sh', ['-c', `echo '${unknown}' >>/var/lib/drayage/journal/${id}.${side}.jsonl`]);
    }
    const { stdout } = await a.run('drayage', ['resolve', id, '--keep', 'source', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'undone' });
    expect((await b.run('cat', [`${cgroup}/cgroup.procs`])).stdout).toBe('');
    await until('it is gone', async () => !(await isRunning(b, pid)));
    await b.run('rmdir', [cgroup]);
    await cleanEverywhere();
  });

  test('numbers that are taken do not matter in a namespace of their own', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
    for (const isOnTerminal of [false, true]) {
      let pid: number;
      const first = isOnTerminal
        ? await onTerminal(a, `echo ${nextPid()} >/proc/sys/kernel/ns_last_pid; exec bash --norc -i`)
        : undefined;
      if (first === undefined) pid = await start(a, `exec sh ${HOME}/loop.sh`);
      else {
        first.type(`sh ${HOME}/loop.sh\r`);
        pid = await pidOf(a, `sh ${HOME}/loop.sh`);
      }
      await startAs(b, pid, 'sleep 1000');
      expect(codes(await pair.migrate(a, `process:${pid}`))).toContain('PIDS_TAKEN');
      await pair.move(a, `process:${pid}`, '--pid-namespace');
      const there = await pidOf(b, `sh ${HOME}/loop.sh`);
      expect(there).not.toBe(pid);
      expect((await b.run('grep', ['NSpid', `/proc/${there}/status`])).stdout.trim()).toBe(`NSpid:\t${there}\t${pid}`);
      expect(codes(await pair.migrate(b, `process:${there}`, '--dry-run'))).toContain('FOREIGN_NAMESPACE');
      if (first === undefined) {
        const before = (await lines(b, 'log')).length;
        await until('it counts on', async () => (await lines(b, 'log')).length > before + 5);
        expect(brokenAt((await lines(b, 'log')).map(Number))).toBeUndefined();
      } else {
        const second = await onTerminal(b, `drayage attach process:${pid}`);
        await until('it counts on', async () => second.numbers().length > 20);
        expect(brokenAt([...first.numbers(), ...second.numbers()])).toBeUndefined();
        second.type('\u0003');
        await second.ended;
        expect(second.text()).toContain('the terminal has ended');
        first.end();
      }
      await b.run('pkill', ['-x', 'sleep']);
      if (first === undefined) await kill(b, there);
      await until('it has ended', async () => !(await isRunning(b, there)));
    }
    await cleanEverywhere();
  });

  test('a root of its own lets it see its files, and changes nothing on the target', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
    await put(b, 'loop.sh', 'another\n');
    const pid = await start(a, `exec sh ${HOME}/loop.sh`);
    await pair.move(a, `process:${pid}`, '--private-root');
    const log = `/proc/${pid}/root${HOME}/log`;
    const numbers = async () => (await b.run('cat', [log])).stdout.split('\n').slice(0, -1).map(Number);
    const before = (await numbers()).length;
    await until('it counts on', async () => (await numbers()).length > before + 5);
    expect(brokenAt(await numbers())).toBeUndefined();
    expect((await b.run('ls', ['-A', HOME])).stdout).toBe('loop.sh\n');
    expect((await b.run('cat', [`${HOME}/loop.sh`])).stdout).toBe('another\n');
    expect(codes(await pair.migrate(b, `process:${pid}`, '--dry-run'))).toContain('FOREIGN_NAMESPACE');
    expect((await b.run('cat', [`/proc/${pid}/root${HOME}/loop.sh`])).stdout).toContain('echo $i');
    await kill(b, pid);
    await cleanEverywhere();
  });

  test('a restore that fails is undone in place', async () => {
    const { a, b } = pair;
    await put(a, 'loop.sh', 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
    const pid = await start(a, `exec sh ${HOME}/loop.sh`);
    const freezer = await freezerOf(a, pid);
    await b.run('sh', [
      '-c',
      'mv /usr/sbin/criu /usr/sbin/criu.kept; printf \'#!/bin/sh\\n[ "$1" != restore ] || exit 1\\nexec /usr/sbin/criu.kept "$@"\\n\' >/usr/sbin/criu; chmod 755 /usr/sbin/criu',
    ]);
    try {
      const { result, events } = await pair.migrate(a, `process:${pid}`);
      const undone = { outcome: 'undone', error: { code: 'RESTORE_FAILED' } };
      expect(result, JSON.stringify(events)).toMatchObject(undone);
    } finally {
      await b.run('mv', ['/usr/sbin/criu.kept', '/usr/sbin/criu']);
    }
    const before = (await lines(a, 'log')).length;
    await until('it goes on here', async () => (await lines(a, 'log')).length > before + 5);
    expect(brokenAt((await lines(a, 'log')).map(Number))).toBeUndefined();
    expect(await freezerOf(a, pid)).toBe(freezer);
    // What had been put in place on the target is gone.
    expect((await b.run('ls', ['-A', HOME])).stdout).toBe('');
    await kill(a, pid);
    await cleanEverywhere();
  });

  /** A program that only this host has. */
  async function compile(name: string, host: LabHost): Promise<void> {
    await ensurePrograms(runner(), { cc: 'gcc', '/usr/include/stdio.h': 'libc6-dev' }, () => {});
    await runner()('cc', ['-O2', '-static', '-o', join(scratch, name), join(PROGRAMS, `${name}.c`)]);
    await copyFile(join(scratch, name), host.path(`${HOME}/${name}`));
  }

  function nextPid(): number {
    lastPid += 1000;
    return lastPid;
  }

  /** Starts a program without a terminal; its output goes to a file in HOME. */
  async function start(host: LabHost, command: string, output = `${HOME}/log`): Promise<number> {
    const before = nextPid();
    await put(
      host,
      'start.sh',
      `cd ${HOME}; echo ${before} >/proc/sys/kernel/ns_last_pid; setsid sh -c 'echo $$ >pid; ${command.replaceAll("'", `'\\''`)}' >${output} 2>&1 </dev/null &\n`,
    );
    await host.run('sh', [`${HOME}/start.sh`]);
    return until('it has started', async () => Number((await host.run('cat', [`${HOME}/pid`])).stdout) || undefined);
  }

  async function cleanEverywhere(): Promise<void> {
    await until('nothing is left', async () => (await pair.leftovers()).length === 0, 45_000);
    const script = 'ls -A /var/lib/drayage/carried /run/drayage/terminals 2>/dev/null | grep -v ":$" | grep .; true';
    // An agent looks twice a second whether a terminal is still held.
    for (const host of [pair.a, pair.b])
      await until(
        `no directory is left on ${host.name}`,
        async () => (await host.run('sh', ['-c', script])).stdout === '',
      );
  }
});

interface Terminal {
  type(keys: string): void;
  text(): string;
  /** Whole lines that are a number. */
  numbers(): number[];
  ended: Started['exited'];
  end(): void;
}

/** A terminal of a user of the host. */
async function onTerminal(host: LabHost, command: string): Promise<Terminal> {
  const program = host.start('script', ['--quiet', '--flush', '--command', command, '/dev/null'], {
    env: { TERM: 'xterm', SHELL: '/bin/sh' },
  });
  let seen = '';
  program.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  return {
    type: (keys) => void program.stdin.write(keys),
    text: () => seen,
    numbers: () =>
      seen
        .split('\r\n')
        .slice(0, -1)
        .filter((line) => /^\d+$/.test(line))
        .map(Number),
    ended: program.exited,
    end: () => program.kill('SIGKILL'),
  };
}

function there(a: LabHost, b: LabHost): [LabHost, LabHost][] {
  return [
    [a, b],
    [b, a],
  ];
}

async function put(host: LabHost, name: string, text: string): Promise<void> {
  await writeFile(host.path(`${HOME}/${name}`), text);
}

async function lines(host: LabHost, name: string): Promise<string[]> {
  return (await host.run('cat', [`${HOME}/${name}`])).stdout.split('\n').slice(0, -1);
}

async function pidOf(host: LabHost, command: string): Promise<number> {
  return until(command, async () => Number((await host.run('pgrep', ['-x', '-f', command])).stdout) || undefined);
}

async function isRunning(host: LabHost, pid: number): Promise<boolean> {
  return (await host.run('sh', ['-c', `[ -e /proc/${pid} ]`], { okCodes: [0, 1] })).code === 0;
}

async function kill(host: LabHost, pid: number): Promise<void> {
  await host.run('kill', ['-9', `${pid}`]);
}

async function freezerOf(host: LabHost, pid: number): Promise<string> {
  return (await host.run('sh', ['-c', `grep freezer /proc/${pid}/cgroup`])).stdout;
}
