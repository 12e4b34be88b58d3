import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DrayageError, ERRORS } from '../errors.ts';
import { echoServer, pause, webServer } from '../measure/testing/servers.ts';
import type { MigrationEvent, MigrationResult } from '../migration/events.ts';
import { type FakeOptions, FakeTerminal } from './fake.ts';
import { duration } from './measured.ts';
import { exampleEvents, ID, RESULT } from './report/example.ts';

const directory = await mkdtemp(join(tmpdir(), 'drayage-measured-'));
afterAll(() => rm(directory, { recursive: true }));

/** Agents on both hosts, which move the workload in no time; `ending` is of every round but the first. */
function agents(ending: Partial<MigrationResult> = {}, check: () => unknown = () => ({ findings: [], plan: null })) {
  const moves: string[] = [];
  const answers: NonNullable<FakeOptions['agent']> = {
    hello: () => ({ hostname: 'a' }),
    'workloads.check': check,
    'migrations.start': ({ to }: { to: string }) => {
      moves.push(to);
      return { id: ID };
    },
    'migrations.watch': (_, emit) => {
      const result = { ...RESULT, ...(moves.length > 1 ? ending : {}) };
      const shift = Date.now() - (exampleEvents().at(-1)?.time ?? 0);
      for (const event of exampleEvents()) {
        const now = { ...event, time: event.time + shift };
        emit((event.type === 'result' ? { ...now, ...result } : now) as MigrationEvent);
      }
      return result;
    },
    'migrations.undo': () => undefined,
  };
  return { moves, answers };
}

const QUICK = ['--rate', '100', '--connections', '2', '--settle', '150ms'];

test('probe watches for as long as it is told, and writes a report', async () => {
  await using web = await webServer();
  await using echo = await echoServer();
  const report = join(directory, 'probe.html');
  const where = ['--url', `http://127.0.0.1:${web.port}/`, '--tcp', `127.0.0.1:${echo.port}`];
  const probe = ['probe', ...where, '--duration', '200ms', '--connections', '2'];
  const shown = await new FakeTerminal().run(...probe, '-o', report);
  expect(shown).toMatchObject({ status: 0, calls: [] });
  expect(shown.out).toMatch(/^requests +\d+ at \d+\/s, 0 failed$/m);
  expect(shown.out).toContain(`report: ${report}`);
  expect(await readFile(report, 'utf8')).toContain('drayage probe');
  const json = JSON.parse((await new FakeTerminal().run(...probe, '--json')).out);
  expect(json).toMatchObject({ type: 'probe', requests: { failed: 0 }, connections: { speak: 'tcp', broken: 0 } });
});

test('Ctrl-C ends a probe with its summary; once more waits for nothing', async () => {
  let silent = false;
  await using web = await webServer((_, response) => void (silent || response.end()));
  const terminal = new FakeTerminal({ tty: true });
  const running = terminal.run('probe', '--url', `http://127.0.0.1:${web.port}/`, '--timeout', '60s');
  await pause(500);
  silent = true;
  await pause(100);
  terminal.interrupt();
  await pause(400);
  terminal.interrupt();
  const { out, err, status } = await running;
  expect(status).toBe(0);
  expect(out).toContain('longest gap');
  expect(err).toContain('waiting for the last answers');
});

test('bench moves it there and back, and tells every round', async () => {
  await using web = await webServer();
  const { moves, answers } = agents();
  const bench = ['bench', 'web', '--to', 'root@b', '--url', `http://127.0.0.1:${web.port}/`, '--rounds', '3', ...QUICK];
  const report = join(directory, 'bench.html');
  const { out, err, status, error } = await new FakeTerminal({ agent: answers }).run(...bench, '-o', report);
  expect([status, error]).toEqual([0, undefined]);
  expect(moves).toEqual(['root@b', 'root@a', 'root@b']);
  expect(out).toMatch(/^1 +root@b +256 ms/m);
  expect(err).toContain('round 2/3 to root@a: committed, outage 256 ms');
  expect(await readFile(report, 'utf8')).toContain('drayage bench');
});

test('bench for programs: a line a round, the summary last', async () => {
  await using web = await webServer();
  const { answers } = agents();
  const where = ['--url', `http://127.0.0.1:${web.port}/`, '--rounds', '2'];
  const { out } = await new FakeTerminal({ agent: answers }).run(
    'bench',
    'web',
    '--to',
    'b',
    ...where,
    ...QUICK,
    '--json',
  );
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ type }) => type)).toEqual(['round', 'round', 'bench']);
  expect(lines[2]).toMatchObject({ workload: 'web', requests: { failed: 0 }, outageMs: { median: 256 } });
  expect(lines[2].rounds).toHaveLength(2);
});

test('a round that is no move is the last one, and the status tells', async () => {
  await using web = await webServer();
  const lost = new DrayageError('TARGET_LOST', 'Lost.').toJSON();
  const { moves, answers } = agents({ outcome: 'undone', outageMs: null, error: lost });
  const where = ['--url', `http://127.0.0.1:${web.port}/`];
  const { status, out, err } = await new FakeTerminal({ agent: answers }).run(
    'bench',
    'web',
    '--to',
    'b',
    ...where,
    ...QUICK,
  );
  expect(moves).toHaveLength(2);
  expect(status).toBe(ERRORS.TARGET_LOST.exit);
  expect(err).toContain('TARGET_LOST: Lost.');
  expect(out).toMatch(/^2 +root@b +undone/m);
});

test('Ctrl-C undoes the move under way and tells what was measured', async () => {
  await using web = await webServer();
  const { answers } = agents();
  const undone = Promise.withResolvers<MigrationResult>();
  const terminal: FakeTerminal = new FakeTerminal({
    agent: {
      ...answers,
      'migrations.watch': (_, emit) => {
        for (const event of exampleEvents().slice(0, 4)) emit(event);
        setTimeout(() => terminal.interrupt(), 20);
        return undone.promise;
      },
      'migrations.undo': () => undone.resolve({ ...RESULT, outcome: 'undone', outageMs: null }),
    },
  });
  const where = ['--url', `http://127.0.0.1:${web.port}/`];
  const { error, out, calls } = await terminal.run('bench', 'web', '--to', 'b', ...where, ...QUICK);
  expect(calls).toContain('migrations.undo');
  expect(error?.code).toBe('CANCELLED');
  expect(out).toContain('requests');
});

test.each<[string, string[], string]>([
  ['no address', [], 'USAGE'],
  ['no web server', ['--url', 'ftp://web/'], 'USAGE'],
  ['a rate that is none', ['--url', 'http://127.0.0.1:1/', '--rate', 'fast'], 'USAGE'],
  ['half a connection', ['--url', 'http://127.0.0.1:1/', '--connections', '0.5'], 'USAGE'],
  ['no time', ['--url', 'http://127.0.0.1:1/', '--timeout', '0'], 'USAGE'],
  ['nobody there', ['--url', 'http://127.0.0.1:1/'], 'MEASURE_NO_ANSWER'],
  ['nobody there by TCP', ['--tcp', '127.0.0.1:1'], 'MEASURE_NO_ANSWER'],
  [
    'a report in no directory',
    ['--url', 'http://127.0.0.1:1/', '-o', join(directory, 'none/x.html')],
    'MEASURE_REPORT',
  ],
  ['a report that is a directory', ['--url', 'http://127.0.0.1:1/', '-o', directory], 'MEASURE_REPORT'],
])('bad input is one error, and nothing begins: %s', async (_, flags, code) => {
  const { answers } = agents();
  for (const command of [['probe'], ['bench', 'web', '--to', 'b']]) {
    const { error, calls } = await new FakeTerminal({ agent: answers }).run(...command, ...flags);
    expect(error?.code).toBe(code);
    expect(error?.remedy).toMatch(/\S/);
    expect(calls).toEqual([]);
  }
});

test('a server that is silent, or no echo, is told before anything begins', async () => {
  await using web = await webServer(() => {});
  await using echo = await echoServer(() => 'who is there?\n');
  const { answers } = agents();
  const [silent, other] = [`127.0.0.1:${web.port}`, `127.0.0.1:${echo.port}`];
  for (const command of [['probe'], ['bench', 'web', '--to', 'b']]) {
    for (const [flags, code, remedy] of [
      [['--url', `http://${silent}/`], 'MEASURE_NO_ANSWER', 'firewall'],
      [['--url', `http://${other}/`], 'MEASURE_NO_ANSWER', '--tcp'],
      [['--tcp', other], 'MEASURE_NO_ECHO', 'sends each line back'],
    ] as const) {
      const terminal = new FakeTerminal({ agent: answers });
      const { error, calls } = await terminal.run(...command, ...flags, '--timeout', '200ms');
      expect(error?.code).toBe(code);
      expect(error?.remedy).toContain(remedy);
      expect(calls).toEqual([]);
    }
  }
});

test('bench of a workload that is not there moves nothing', async () => {
  await using web = await webServer();
  const { answers, moves } = agents({}, () => {
    throw new DrayageError('WORKLOAD_UNKNOWN', 'There is no container web here.');
  });
  const where = ['--to', 'b', '--url', `http://127.0.0.1:${web.port}/`];
  const { error, out } = await new FakeTerminal({ agent: answers }).run('bench', 'web', ...where, ...QUICK);
  expect([error?.code, moves, out]).toEqual(['WORKLOAD_UNKNOWN', [], '']);
  expect(error?.remedy).toContain('drayage ps');
});

test('what speaks against a move, or closes the way back, is told before the first one', async () => {
  await using web = await webServer();
  const finding = { severity: 'blocks' as const, code: 'A_BLOCK', message: 'No.', meaning: '', remedy: '' };
  const bench = ['bench', 'web', '--to', 'b', '--url', `http://127.0.0.1:${web.port}/`, ...QUICK];
  const blocked = agents({}, () => ({ findings: [finding], plan: null }));
  const { error } = await new FakeTerminal({ agent: blocked.answers }).run(...bench);
  expect([error?.code, blocked.moves]).toEqual(['MIGRATION_BLOCKED', []]);
  let checks = 0;
  const closed = agents({}, () => {
    if (++checks === 1) return { findings: [], plan: null };
    throw new DrayageError('HOST_UNREACHABLE', 'root@a does not answer.');
  });
  const back = await new FakeTerminal({ agent: closed.answers }).run(...bench);
  expect([back.error?.code, closed.moves]).toEqual(['HOST_UNREACHABLE', []]);
  expect(back.error?.message).toContain('The way back, from b to root@a');
  expect(back.error?.remedy).toContain('--back');
});

test.each([
  ['500ms', 500],
  ['1.5', 1500],
  ['30s', 30_000],
  ['2m', 120_000],
  ['1h', 3_600_000],
])('%s is %d ms', (text, ms) => {
  expect(duration(text)).toBe(ms);
});

test.each(['', '0', '-1s', '5x', '1e3', '25h', 's'])('%j is no time', (text) => {
  expect(() => duration(text)).toThrow('500ms');
});
