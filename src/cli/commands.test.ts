import { expect, test } from 'vitest';
import { DrayageError, ERRORS } from '../errors.ts';
import type { MigrateOptions, MigrationResult } from '../migration/events.ts';
import type { Finding } from '../migration/finding.ts';
import type { Plan } from '../migration/plan.ts';
import type { Proposal } from '../migration/strategy.ts';
import { type FakeOptions, FakeTerminal } from './fake.ts';
import { exampleEvents, ID, RESULT } from './report/example.ts';

const finding = (severity: Finding['severity'], code: string): Finding => ({
  severity,
  code,
  message: `${code} was found.`,
  meaning: 'It means this.',
  remedy: 'Do that.',
});
const PLAN: Plan = {
  ...{ strategy: 'stop-copy', image: { missingLayers: [], bytes: 0 }, trees: [], networksToCreate: [] },
  addressesToMove: [],
  ...{ volumesToCreate: [], memoryBytes: 1, predictedOutageMs: 1, predictedBytes: 1 },
};
const COST = finding('costs', 'A_COST');
const BLOCK = finding('blocks', 'A_BLOCK');

/** An agent that moves the workload of the example, unless told otherwise. */
function agent(
  findings: Finding[] = [],
  ending: Partial<MigrationResult> = {},
  restart?: Proposal,
): NonNullable<FakeOptions['agent']> {
  const result = { ...RESULT, ...ending };
  return {
    'workloads.check': () => ({ strategy: 'live', findings, plan: PLAN, ...(restart && { restart }) }),
    'migrations.start': () => ({ id: ID }),
    'migrations.watch': (_, emit) => {
      for (const event of exampleEvents()) emit(event.type === 'result' ? { ...event, ...result } : event);
      return result;
    },
    'migrations.undo': () => undefined,
  };
}

const RESTART: Proposal = {
  findings: [finding('costs', 'MEMORY_LOST')],
  plan: {
    ...PLAN,
    strategy: 'restart',
    restart: { lost: ['all of it'], stopMs: 10_000, outageMs: 14_000, healthy: 'running' },
  },
};

const MOVE = ['migrate', 'web', '--to', 'root@b'];

test('a move that nothing speaks against begins at once', async () => {
  const { status, out, calls } = await new FakeTerminal({ agent: agent() }).run(...MOVE);
  expect(calls).toEqual(['workloads.check', 'migrations.start', 'migrations.watch']);
  expect(status).toBe(0);
  expect(out).toContain('• prepare');
  expect(out).toContain('docker:web now runs on root@b');
  expect(out).not.toContain('\r');
});

test('on a terminal the last line is alive', async () => {
  const { out } = await new FakeTerminal({ agent: agent(), tty: true }).run(...MOVE);
  expect(out).toContain('\r\x1b[2K');
  expect(out.split('\x1b[2K').at(-1)).toContain('docker:web now runs on root@b');
});

test('in JSON every event is a line, and the last is the result as it is documented', async () => {
  const { status, out } = await new FakeTerminal({ agent: agent([COST]) }).run(...MOVE, '--json', '--yes');
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(exampleEvents().length);
  expect(lines.at(-1)).toEqual(RESULT);
  expect(lines[0]).toMatchObject({ type: 'started', id: ID });
  expect(status).toBe(0);
});

test('what blocks ends it before it begins', async () => {
  const { out, error, calls } = await new FakeTerminal({ agent: agent([COST, BLOCK]) }).run(...MOVE, '--yes');
  expect(calls).toEqual(['workloads.check']);
  expect(out).toMatch(/^blocks {2}A_BLOCK was found/);
  expect(error).toMatchObject({ code: 'MIGRATION_BLOCKED' });
  expect(error?.message).toContain('A_BLOCK');
});

test.each<[string, FakeOptions, string[], string | undefined]>([
  ['nobody to ask', {}, [], 'CONFIRMATION_NEEDED'],
  ['nobody to ask, in JSON', { tty: true, answer: true }, ['--json'], 'CONFIRMATION_NEEDED'],
  ['the user says no', { tty: true, answer: false }, [], 'CANCELLED'],
  ['the user says yes', { tty: true, answer: true }, [], undefined],
  ['--yes', {}, ['--yes'], undefined],
])('what costs is agreed to first: %s', async (_, options, flags, code) => {
  const { error, calls } = await new FakeTerminal({ ...options, agent: agent([COST]) }).run(...MOVE, ...flags);
  expect(error?.code).toBe(code);
  expect(calls.includes('migrations.start')).toBe(code === undefined);
});

test.each<[string, FakeOptions, string[], string | undefined]>([
  ['nobody to ask', {}, ['--yes'], 'MIGRATION_BLOCKED'],
  ['in JSON', { tty: true, answer: true }, ['--json'], 'MIGRATION_BLOCKED'],
  ['a dry run', { tty: true, answer: true }, ['--dry-run'], 'MIGRATION_BLOCKED'],
  ['the user says no', { tty: true, answer: false }, [], 'CANCELLED'],
  ['the user says yes', { tty: true, answer: true }, [], undefined],
])('what cannot move live is offered a restart: %s', async (_, options, flags, code) => {
  const asked: unknown[] = [];
  const answers = {
    ...agent([BLOCK], {}, RESTART),
    'migrations.start': (request: { options: MigrateOptions }) => {
      asked.push(request.options.allowRestart);
      return { id: ID };
    },
  };
  const { error, out } = await new FakeTerminal({ ...options, agent: answers }).run(...MOVE, ...flags);
  expect(error?.code).toBe(code);
  if (code === 'MIGRATION_BLOCKED') expect(error?.remedy).toContain('--allow-restart (it loses all of it; it is away');
  expect(asked).toEqual(code === undefined ? [true] : []);
  if (!flags.includes('--json') && !flags.includes('--yes')) expect(out).toContain('web cannot move live');
});

test('--allow-restart agrees to what every restart costs, and to nothing else', async () => {
  const lost = agent([finding('costs', 'MEMORY_LOST')]);
  expect((await new FakeTerminal({ agent: lost }).run(...MOVE, '--allow-restart')).error).toBeUndefined();
  expect((await new FakeTerminal({ agent: lost }).run(...MOVE)).error?.code).toBe('CONFIRMATION_NEEDED');
  const more = agent([finding('costs', 'MEMORY_LOST'), COST]);
  const { error } = await new FakeTerminal({ agent: more }).run(...MOVE, '--allow-restart');
  expect(error?.message).toContain('A_COST');
  expect(error?.message).not.toContain('MEMORY_LOST');
});

test('--healthy-url takes an address', async () => {
  const { error } = await new FakeTerminal({ agent: agent() }).run(...MOVE, '--healthy-url', 'file:///etc/passwd');
  expect(error?.code).toBe('USAGE');
});

test('a dry run shows the plan and begins nothing', async () => {
  const { calls, out } = await new FakeTerminal({ agent: agent([COST]) }).run(...MOVE, '--dry-run', '--yes', '--json');
  expect(calls).toEqual(['workloads.check']);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type),
  ).toEqual(['findings', 'plan']);
});

test.each<[Partial<MigrationResult>, number]>([
  [{ outcome: 'undone', error: new DrayageError('TARGET_LOST', 'Lost.').toJSON() }, ERRORS.TARGET_LOST.exit],
  [
    { outcome: 'unknown', error: new DrayageError('OUTCOME_UNKNOWN', 'Unknown.').toJSON() },
    ERRORS.OUTCOME_UNKNOWN.exit,
  ],
  [{ outcome: 'undone', error: { code: 'OF_TOMORROW', message: '', meaning: '', remedy: '' } }, ERRORS.INTERNAL.exit],
  [{ outcome: 'undone' }, ERRORS.INTERNAL.exit],
])('an ending that is no move has a status of its own: %j', async (ending, expected) => {
  const { status } = await new FakeTerminal({ agent: agent([], ending) }).run(...MOVE);
  expect(status).toBe(expected);
});

test('Ctrl-C asks for an undo and waits for what comes of it', async () => {
  const undone = Promise.withResolvers<MigrationResult>();
  const cancelled = new DrayageError('CANCELLED', 'The user asked to undo it.').toJSON();
  const terminal: FakeTerminal = new FakeTerminal({
    agent: {
      ...agent(),
      'migrations.watch': () => {
        terminal.interrupt();
        return undone.promise;
      },
      'migrations.undo': () => undone.resolve({ ...RESULT, outcome: 'undone', outageMs: null, error: cancelled }),
    },
  });
  const { status, out, calls } = await terminal.run(...MOVE);
  expect(calls).toContain('migrations.undo');
  expect(out).toContain('asking for an undo');
  expect(status).toBe(ERRORS.CANCELLED.exit);
});

test('Ctrl-C after the commit is told to be too late; the second one leaves', async () => {
  const terminal: FakeTerminal = new FakeTerminal({
    agent: {
      ...agent(),
      'migrations.watch': () => {
        terminal.interrupt();
        setTimeout(() => terminal.interrupt(), 5);
        return new Promise(() => {});
      },
      'migrations.undo': () => {
        throw new DrayageError('ALREADY_COMMITTED', 'It runs there already.');
      },
    },
  });
  const { status, out } = await terminal.run(...MOVE, '--host', 'c');
  expect(out).toContain('It cannot be undone any more: It runs there already.');
  expect(out).toContain(`drayage watch ${ID} --host c`);
  expect(status).toBe(ERRORS.CANCELLED.exit);
});

test('Ctrl-C in watch only leaves', async () => {
  const terminal: FakeTerminal = new FakeTerminal({
    agent: {
      'migrations.watch': () => {
        terminal.interrupt();
        return new Promise(() => {});
      },
    },
  });
  const { calls, out } = await terminal.run('watch', ID);
  expect(calls).toEqual(['migrations.watch']);
  expect(out).toContain('The migration goes on');
});

test('a lost agent does not mean a lost migration', async () => {
  const lost = () => {
    throw new DrayageError('AGENT_LOST', 'The connection was lost.');
  };
  const { error } = await new FakeTerminal({ agent: { ...agent(), 'migrations.watch': lost } }).run(...MOVE);
  expect(error).toMatchObject({
    code: 'AGENT_LOST',
    meaning: expect.stringContaining('goes on'),
    remedy: expect.stringContaining(`drayage watch ${ID}`),
  });
});

test('check tells all, and by its status whether it can move', async () => {
  const blocked = await new FakeTerminal({ agent: agent([BLOCK]) }).run('check', 'web', '--to', 'b', '--json');
  expect(JSON.parse(blocked.out)).toEqual({ strategy: 'live', findings: [BLOCK], plan: PLAN });
  expect(blocked.status).toBe(ERRORS.MIGRATION_BLOCKED.exit);
  const fine = await new FakeTerminal({ agent: agent([COST]) }).run('check', 'web', '--to', 'b');
  expect(fine.out).toContain('web can be moved to b');
  expect(fine.status).toBe(0);
});

test('ps, history, show and resolve, for people and for programs', async () => {
  const ref = { engine: 'docker', name: 'web' };
  const workloads = [{ ref, id: 'f', image: 'nginx', state: 'running', hindrances: [] }];
  const migrations = [{ id: ID, workload: 'web', source: 'a', target: 'b', startedAt: 1 }];
  const terminal = new FakeTerminal({
    agent: {
      'workloads.list': () => ({ workloads }),
      'migrations.list': () => ({ migrations }),
      'migrations.show': () => ({ id: ID, events: exampleEvents() }),
      'migrations.resolve': () => RESULT,
    },
  });
  const { out: json } = await terminal.run('ps', '--json');
  expect(JSON.parse(json)).toEqual(workloads);
  expect((await terminal.run('ps')).out).toContain('docker:web');
  expect(JSON.parse((await terminal.run('history', '--json')).out)).toEqual(migrations);
  expect((await terminal.run('history')).out).toContain('under way');
  expect((await terminal.run('show', ID)).out).toContain('create the copy');
  expect((await terminal.run('show', ID, '--json')).out.trim().split('\n')).toHaveLength(exampleEvents().length);
  expect((await terminal.run('resolve', ID, '--keep', 'target')).out).toContain("the target's copy runs");
});

test.each([
  [['pss'], "unknown command 'pss'", 'drayage --help'],
  [['migrate', 'web'], "required option '--to <host>' not specified", 'drayage migrate --help'],
  [['resolve', ID, '--keep', 'both'], 'Allowed choices are source, target', 'drayage resolve --help'],
  [['host', 'add'], "missing required argument 'host'", 'drayage host add --help'],
  [['ps', '--jsn'], "unknown option '--jsn'", 'drayage ps --help'],
])('%j is not understood', async (words, message, help) => {
  const { error, calls } = await new FakeTerminal().run(...words);
  expect(error).toMatchObject({ code: 'USAGE', remedy: `See ${help}.` });
  expect(error?.message).toContain(message);
  expect(calls).toEqual([]);
});

test('every command has help with examples', async () => {
  const terminal = new FakeTerminal();
  const overview = (await terminal.run('--help')).out;
  const commands = ['ps', 'check', 'migrate', 'history', 'show', 'watch', 'resolve', 'setup', 'agent', 'completion'];
  for (const words of [...commands.map((name) => [name]), ['host', 'add'], ['host', 'remove'], ['host', 'ls']]) {
    expect(overview).toContain(`  ${words[0]}`);
    const { out, status, error } = await terminal.run(...words, '--help');
    expect({ status, error }).toEqual({ status: 0, error: undefined });
    expect(out.match(/^ {2}.*drayage/gm)?.length, words.join(' ')).toBeGreaterThanOrEqual(2);
  }
  expect((await terminal.run()).status).toBe(2);
  expect((await terminal.run('--version')).out).toBe('1.2.3\n');
});
