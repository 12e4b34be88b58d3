/** Sessions are typed into real containers, rebuilt on the other host, and compared file by file. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MigrationEvent } from '../../src/migration/events.ts';
import { SESSIONS } from '../replay/sessions.ts';
import { record } from '../replay/typist.ts';
import { docker, inspect, Pair, runContainer, running } from './harness.ts';
import { DOCKERS } from './setup.ts';

const ANY = Array.from({ length: 256 }, (_, status) => status);

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'terminal']);
    await pair.clear();
  });
  afterEach(async () => {
    await pair.clear();
    await docker(pair.b, 'image', 'prune', '-a', '-f');
  });

  test.each(Object.entries(SESSIONS))('%s is rebuilt, alike to the last file', async (name, session) => {
    await record(pair.a, name, session);
    const { status, events, stderr } = await replay(name, '--capture-rest', '--require', '100');
    expect(status, stderr).toBe(0);
    const scores = events.flatMap((event) => (event.type === 'proof' ? [event.score] : []));
    expect(scores[0]).toBeGreaterThan(99);
    expect(scores.at(-1)).toBe(100);
    const result = events.find((event) => event.type === 'result');
    expect(result).toMatchObject({ outcome: 'committed', rebuilt: { score: 100 } });
    // The original is as it was, and the history tells of the replay.
    expect((await inspect(pair.a, name)).State.Status).toBe('exited');
    expect((await pair.a.run('drayage', ['history'])).stdout).toContain(`docker:${name}`);
    expect((await pair.a.run('drayage', ['show', result?.id ?? ''])).stdout).toContain('100 % alike');
  });

  test('with --start it runs there, with the same configuration', async () => {
    const { a, b } = pair;
    await record(a, 'dev', {
      command: ['bash'],
      flags: ['-e', 'COLOUR=blue', '-w', '/srv', '-v', 'data:/data', '--label', 'x=y'],
      steps: ['touch here\r', 'export KIND=test PATH=/opt/bin:$PATH\r'],
      commands: [],
    });
    const { status, stderr } = await replay('dev', '--start', '--require', '100');
    expect(status, stderr).toBe(0);
    expect(await running(b)).toEqual(['dev']);
    const copy = await inspect(b, 'dev');
    expect(copy.Config).toMatchObject({ Cmd: ['bash'], WorkingDir: '/srv', Tty: true, Labels: { x: 'y' } });
    const path = expect.stringMatching(/^PATH=\/opt\/bin:\/usr\/local\/sbin:/);
    expect(copy.Config.Env).toEqual(expect.arrayContaining(['COLOUR=blue', 'KIND=test', path]));
    expect(await docker(b, 'exec', 'dev', 'ls', '/srv/here')).toBe('/srv/here');
    // Its name is taken now.
    expect((await replay('dev', '--start')).status).toBe(3);
  });

  test('what fails leaves nothing on the target', async () => {
    const { a, b } = pair;
    await record(a, 'dev', {
      command: ['bash'],
      steps: ['touch /root/x\r', { keys: 'exit\r', until: /^/ }],
      commands: [],
    });
    await docker(a, 'start', 'dev');
    // In no log, and so in no Dockerfile.
    await docker(a, 'exec', 'dev', 'sh', '-c', 'echo secret-file > /root/by-exec');
    const before = await docker(b, 'images', '-q');
    const { status, events } = await replay('dev', '--require', '100');
    expect(status).toBe(4);
    const findings = events.flatMap((event) => (event.type === 'findings' ? event.findings : []));
    expect(findings).toMatchObject([
      { code: 'REPLAY_UNEXPLAINED', message: expect.stringMatching(/: \/root\/by-exec$/) },
    ]);
    const proof = events.find((event) => event.type === 'proof');
    expect(proof).toMatchObject({ differing: 1, differences: [{ path: '/root/by-exec' }] });
    expect(events.find((event) => event.type === 'result')).toMatchObject({ error: { code: 'REPLAY_NOT_ALIKE' } });
    expect(await docker(b, 'images', '-q')).toBe(before);
    expect(await docker(b, 'ps', '-aq')).toBe('');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('a build that fails, and containers that nothing can be found out about', async () => {
    const { a } = pair;
    await record(a, 'dev', {
      command: ['bash'],
      steps: ['test -e /root/no || false\r', 'mkdir /root\r'],
      commands: [],
    });
    await docker(a, 'run', '-d', '--pull=never', '--name', 'plain', 'counter');
    await docker(a, 'run', '-dit', '--pull=never', '--name', 'elsewhere', '--log-driver', 'none', 'terminal');
    await docker(a, 'create', '-it', '--pull=never', '--name', 'never', 'terminal');
    await runContainer(a, 'silent', 'counter', { flags: ['-t'], command: ['sleep', '1000'] });
    const codeOf = async (name: string) => {
      const { events } = await replay(name);
      return events
        .map((event) => ('code' in event ? event.code : 'error' in event ? event.error?.code : undefined))
        .findLast(Boolean);
    };
    expect(await codeOf('dev')).toBe('REPLAY_BUILD_FAILED');
    expect(await codeOf('plain')).toBe('REPLAY_NO_TERMINAL');
    expect(await codeOf('elsewhere')).toBe('REPLAY_LOG_DRIVER');
    expect(await codeOf('never')).toBe('REPLAY_EMPTY_LOG');
    expect(await codeOf('silent')).toBe('REPLAY_EMPTY_LOG');
  });

  async function replay(
    name: string,
    ...flags: string[]
  ): Promise<{ status: number; events: MigrationEvent[]; stderr: string }> {
    const args = ['replay', `docker:${name}`, '--to', 'root@b', '--yes', '--json', ...flags];
    const { code, stdout, stderr } = await pair.a.run('drayage', args, { okCodes: ANY, timeoutMs: 200_000 });
    const events = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as MigrationEvent);
    return { status: code, events, stderr };
  }
});
