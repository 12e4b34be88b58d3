import { describe, expect, it } from 'vitest';
import { ProgramError, type Run } from '../exec/run.ts';
import { cpuinfoCheck, cpuinfoDump, explain, firstError, parseVersion, surveyCriu } from './criu.ts';

const SIGNAL = new AbortController().signal;

describe('firstError', () => {
  it('passes over what is said without harm', () => {
    expect(firstError(DUMP_LOG)).toMatchObject({
      line: 'inet: Unsupported proto 262 for socket 131a9',
      remedy: expect.stringContaining('GODEBUG=multipathtcp=0'),
    });
  });

  it('finds the errors of a restored process and of its parasite', () => {
    expect(
      firstError('(00.7) 7: Error (criu/files-reg.c:2175): File bin/sh has bad size 1 (expect 2)\n'),
    ).toMatchObject({
      line: 'File bin/sh has bad size 1 (expect 2)',
    });
    expect(firstError('pie: 1: Error (criu/pie/parasite.c:588): send_fds failed (-22)\n')?.meaning).toContain(
      'io_uring',
    );
  });

  it('says nothing where there is none', () => {
    expect(firstError('')).toBeUndefined();
    expect(firstError('(00.1) Warn  (criu/fsnotify.c:281): fsnotify: Handle cannot be opened\n')).toBeUndefined();
  });
});

describe('explain', () => {
  // What CRIU 4.2.1 said of real containers, and for restores what its source says.
  const cases: [string, string][] = [
    ['inet: Connected TCP socket, consider using --tcp-established option.', 'connection'],
    ['inet: In-flight connection (l) for 1ab7a', 'accepted'],
    ["sockets: Can't get 1:16 opt: Operation not supported", 'older than 4.2'],
    ['sockets: BUG! Unknown socket collected (family 44)', 'kind that CRIU cannot dump'],
    ['unix: External socket is used. Consider using --ext-unix-sk option.', 'outside of the container'],
    [
      "unix: Can't dump half of stream unix connection. name: (null); peer name: /run/docker.sock",
      'outside of the container',
    ],
    ["Can't dump file 3 of that type [20600] (chr 10:229)", 'device'],
    ["Can't dump file 3 of that type [600] (anon anon_inode:[userfaultfd])", 'descriptor'],
    ["Can't dump ghost file /ghost of 1998848 size, increase limit", 'deleted'],
    ["Can't create link remap for /gh. Use link-remap option.", 'removed'],
    ["fsnotify: \tCan't dump that handle", 'inotify'],
    ['Some file locks are hold by dumping tasks! You can try --file-locks to dump them.', 'lock'],
    ["Can't lookup mount=277 for fd=0 path=/null", 'mount'],
    ["Can't dump nested pid namespace for 7999", 'namespace'],
    ['A session leader of 7(7) is outside of its pid namespace', 'nsenter'],
    ['zombie 6780 (comm naughty) found while seizing', 'traced'],
    ["Task 8809 with SysVIPC shmem map @7f0d7404e000 doesn't live in IPC ns", 'System V'],
    ['File usr/bin/redis-server has bad build-ID', 'differs on the target'],
    ["inet: Can't bind inet socket (id 5): Cannot assign requested address", 'address'],
    ["inet: Can't bind inet socket (id 5): Address already in use", 'taken'],
    ['cpu: CPU instruction capabilities do not match run time', 'processor'],
    ['cpu: CPU xsave size mismatch (2440/832)', 'processor'],
    ['lsm: mismatched lsm types and lsm profile specified', 'AppArmor'],
    ["Can't fork for 7: File exists", 'process number'],
    ["Can't write pages: No space left on device", 'room'],
  ];
  it.each(cases)('%s', (line, meaning) => {
    expect(explain(line).meaning).toContain(meaning);
  });

  it('has a general answer for the rest', () => {
    expect(explain('Something entirely new').remedy).toContain('checkpoint-restore/criu');
  });
});

it('parseVersion', () => {
  expect(parseVersion('Version: 4.2.1\n')).toBe('4.2.1');
  expect(parseVersion('Version: 3.17.1\nGitID: v3.17.1\n')).toBe('3.17.1');
  expect(parseVersion('')).toBe('0');
});

describe('surveyCriu', () => {
  const criu =
    (check: { stderr: string } | 'ok'): Run =>
    async (program, args) => {
      if (args[0] === '--version') return { stdout: 'Version: 4.2.1\n', stderr: '', code: 0, ms: 1 };
      if (check === 'ok') return { stdout: 'Looks good.\n', stderr: '', code: 0, ms: 1 };
      throw new ProgramError(program, 'failed with exit status 1', 1, '', check.stderr);
    };

  it('tells version and that it works', async () => {
    expect(await surveyCriu(criu('ok'), { signal: SIGNAL, criuPath: '/opt/criu' })).toEqual({
      version: '4.2.1',
      check: 'ok',
      path: '/opt/criu',
    });
  });

  it('tells why it does not even start', async () => {
    const broken: Run = async (program) => {
      throw new ProgramError(program, 'failed with exit status 127', 127, '', 'criu: cannot open shared object file\n');
    };
    expect(await surveyCriu(broken, { signal: SIGNAL, criuPath: '/opt/criu' })).toEqual({
      version: '0',
      check: 'criu: cannot open shared object file',
      path: '/opt/criu',
    });
  });

  it('tells the first error of its check', async () => {
    const stderr = 'Warn  (criu/x.c:1): no\nError (criu/cr-check.c:1212): UFFD is not supported\n';
    expect(await surveyCriu(criu({ stderr }), { signal: SIGNAL, criuPath: '/opt/criu' })).toMatchObject({
      check: 'UFFD is not supported',
    });
  });
});

it('cpuinfoDump writes where it is told to', async () => {
  const runs: (readonly string[])[] = [];
  const run: Run = async (program, args) => {
    runs.push([program, ...args]);
    return { stdout: '', stderr: '', code: 0, ms: 1 };
  };
  await cpuinfoDump(run, '/d', { signal: SIGNAL, criuPath: '/opt/criu' });
  expect(runs).toEqual([['/opt/criu', 'cpuinfo', 'dump', '--images-dir', '/d']]);
});

it('cpuinfoCheck tells how processors differ', async () => {
  const answer =
    (code: number, stderr: string): Run =>
    async () => ({ stdout: '', stderr, code, ms: 1 });
  expect(await cpuinfoCheck(answer(0, ''), '/d', { signal: SIGNAL })).toBeUndefined();
  expect(
    await cpuinfoCheck(
      answer(1, 'Error (criu/arch/x86/cpu.c:190): cpu: CPU instruction capabilities do not match\n'),
      '/d',
      {
        signal: SIGNAL,
      },
    ),
  ).toMatchObject({
    line: 'cpu: CPU instruction capabilities do not match',
    meaning: expect.stringContaining('processor'),
  });
});

const DUMP_LOG = `(00.000001) Version: 4.2.1 (gitid 0)
(00.000924) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.001100) Error (criu/libnetlink.c:27): ERROR -2 reported by netlink (No such file or directory)
(00.108913) Error (criu/sk-inet.c:137): inet: Unsupported proto 262 for socket 131a9
(00.108914) Error (criu/sk-inet.c:139): inet: For Go programs, consider using "GODEBUG=multipathtcp=0" to disable MPTCP
(00.109000) Error (criu/cr-dump.c:1975): Dumping FAILED.
`;
