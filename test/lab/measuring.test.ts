/** What drayage measures of real moves, and what it refuses to measure, from the host where the clients are. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { Summary } from '../../src/measure/summarise.ts';
import { logs, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  let c: LabHost;
  let [url, tcp] = ['', ''];
  beforeAll(async () => {
    pair = await Pair.of(version, ['web']);
    await pair.clear();
    c = pair.lab.host('c');
    [url, tcp] = [`http://${pair.a.address}:8080/`, `${pair.a.address}:7007`];
    await runContainer(pair.a, 'web', 'web', { flags: ['-p', '8080:80', '-p', '7007:7'] });
    await until('it serves', async () => (await logs(pair.a, 'web')).includes('ready'));
  });
  afterAll(() => pair.clear());

  /** The last line of JSON, and the exit status. */
  async function drayage(...args: string[]) {
    const { code, stdout } = await c.run('drayage', [...args, '--json'], { okCodes: ALL, timeoutMs: 120_000 });
    return { code, last: JSON.parse(stdout.trim().split('\n').at(-1) ?? '') };
  }

  test('bench, from a third host: there and back under load, with a report', async () => {
    const move = ['docker:web', '--host', 'root@a', '--to', 'root@b', '--rounds', '2', '--settle', '2s', '--yes'];
    const { code, last } = await drayage('bench', ...move, '--url', url, '--tcp', tcp, '-o', '/root/report.html');
    const { requests, connections, rounds } = last as Summary;
    expect(code).toBe(0);
    expect(requests).toMatchObject({ failed: 0, failures: {} });
    expect(connections).toMatchObject({ count: 50, broken: 0, incidents: { lost: 0, repeated: 0 } });
    expect(rounds.map(({ move: { source, target } }) => [source, target])).toEqual([
      ['a', 'root@b'],
      ['b', 'root@a'],
    ]);
    for (const { move: to } of rounds) expect(to.frozen).not.toBeNull();
    expect(await running(pair.a)).toEqual(['web']);
    expect(await readFile(c.path('/root/report.html'), 'utf8')).toContain('Round by round');
  });

  test.each<[string, () => string[], number, RegExp]>([
    ['nobody listens', () => ['--url', `http://${pair.a.address}:1/`], 69, /refused/],
    ['no echo', () => ['--tcp', `${pair.a.address}:8080`], 69, /answers the line/],
    ['one of two', () => ['--url', url, '--tcp', `${pair.a.address}:1`], 69, /refused/],
    ['no host', () => ['--url', 'http://10.77.255.254/', '--timeout', '1s'], 69, /does not answer/],
  ])('what cannot be measured is told before anything is moved: %s', async (_, flags, status, message) => {
    for (const command of [['probe'], ['bench', 'docker:web', '--host', 'root@a', '--to', 'root@b']]) {
      const { code, last } = await drayage(...command, ...flags());
      expect([code, last.type]).toEqual([status, 'error']);
      expect(last.message).toMatch(message);
      expect(last.remedy).toMatch(/\S/);
    }
    expect(await running(pair.a)).toEqual(['web']);
  });

  test('a workload that is not there, or no way to the other host', async () => {
    for (const [workload, to, status] of [
      ['docker:nobody', 'root@b', 66],
      ['docker:web', 'root@nowhere', 69],
    ] as const) {
      const { code, last } = await drayage('bench', workload, '--host', 'root@a', '--to', to, '--url', url);
      expect([code, last.type]).toEqual([status, 'error']);
      expect(last.remedy).toMatch(/\S/);
    }
    expect(await running(pair.a)).toEqual(['web']);
    expect(await running(pair.b)).toEqual([]);
  });
});

const ALL = Array.from({ length: 256 }, (_, status) => status);
