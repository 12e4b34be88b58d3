import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import type { MigrateOptions, MigrationEvent, MigrationResult } from '../migration/events.ts';
import type { Finding } from '../migration/finding.ts';
import { type FakeOptions, FakeTerminal } from './fake.ts';

const ID = '20261121-120000-abcd';
const OPTIONS: MigrateOptions = {
  ...{ strategy: 'live', allowRestart: false, replaceFiles: false },
  ...{ remove: false, carryBinds: false, dropConnections: false, handover: 'none', dryRun: false },
};
const COST: Finding = { code: 'A_COST', severity: 'costs', message: 'It costs.', meaning: 'M.', remedy: 'R.' };

/** Answers as an agent does whose archives are as they should be. */
function agent(
  ends: { source: string; target: string; leaveRunning?: boolean },
  { findings = [], ...ending }: Partial<MigrationResult> & { findings?: Finding[] } = {},
): NonNullable<FakeOptions['agent']> {
  const result: MigrationResult = {
    ...{ type: 'result', id: ID, outcome: 'committed', outageMs: null, totalMs: 1200, bytes: 1000, phases: [] },
    ...ending,
  };
  const { leaveRunning, ...named } = ends;
  const options = { ...OPTIONS, ...(leaveRunning && { leaveRunning }) };
  const watch = (_: never, emit: (event: MigrationEvent) => void) => {
    emit({ time: 1, id: ID, type: 'started', workload: 'docker:web', ...named, options });
    return result;
  };
  const manifest = { id: ID, workload: { ref: { engine: 'docker', name: 'web' } } };
  return {
    'archives.checkExport': () => ({ findings, plan: null }),
    'archives.export': () => ({ id: ID }),
    'archives.checkImport': () => ({ manifest, findings }),
    'archives.import': () => ({ id: ID, from: 0 }),
    'archives.undo': () => ({ id: ID }),
    'migrations.watch': watch,
  };
}

const OUT = { source: 'a', target: 'archive:/tmp/web.drayage' };
const IN = { source: 'archive:/tmp/web.drayage', target: 'b' };

test('an export says that it runs nowhere now', async () => {
  const answers = agent(OUT, { keptAs: 'web-moved-1' });
  const { status, out, calls } = await new FakeTerminal({ agent: answers }).run(
    'export',
    'web',
    '-o',
    '/tmp/web.drayage',
  );
  expect(calls).toEqual(['archives.checkExport', 'archives.export', 'migrations.watch']);
  expect(status).toBe(0);
  expect(out).toContain('docker:web is in /tmp/web.drayage, and is stopped on a as web-moved-1, and runs nowhere');
});

test('a snapshot says that it goes on', async () => {
  const terminal = new FakeTerminal({ agent: agent({ ...OUT, leaveRunning: true }) });
  const { out } = await terminal.run('snapshot', 'web', '--leave-running', '-o', 'web.drayage');
  expect(out).toContain('and goes on running on a');
});

test('what it costs must be agreed to', async () => {
  const terminal = new FakeTerminal({ agent: agent(OUT, { findings: [COST] }) });
  expect((await terminal.run('export', 'web', '-o', 'x')).error?.code).toBe('CONFIRMATION_NEEDED');
  expect((await terminal.run('export', 'web', '-o', 'x', '--yes')).status).toBe(0);
  expect((await terminal.run('import', 'x')).error?.code).toBe('CONFIRMATION_NEEDED');
});

test('with -o - nothing but the archive goes to standard output', async () => {
  const { out, err } = await new FakeTerminal({ agent: agent(OUT) }).run('export', 'web', '-o', '-');
  expect(out).toBe('');
  expect(err).toContain('docker:web is in');
});

test('paths are absolute for the agent, and secrets come out of files', async () => {
  using directory = scratch();
  const file = `${directory.path}/phrase`;
  writeFileSync(file, 'open sesame\r\nnot this\n');
  const asked: unknown[] = [];
  const write = (params: never) => {
    asked.push(params);
    return { id: ID };
  };
  const answers = { ...agent(OUT), 'archives.export': write };
  const terminal = new FakeTerminal({ agent: answers });
  await terminal.run('export', 'web', '-o', 'web.age', '--passphrase-file', file, '--no-image');
  expect(asked).toMatchObject([
    { path: `${process.cwd()}/web.age`, lock: { passphrase: 'open sesame' }, image: false, options: OPTIONS },
  ]);
  await terminal.run('export', 'web', '-o', 'x', '--encrypt-to', 'age1a', '--encrypt-to', 'age1b');
  expect(asked[1]).toMatchObject({ lock: { recipients: ['age1a', 'age1b'] }, image: true });
  const both = await terminal.run('export', 'web', '-o', 'x', '--encrypt-to', 'age1a', '--passphrase-file', file);
  expect(both.error?.code).toBe('USAGE');
});

test('an import tells where it runs', async () => {
  const { out, status } = await new FakeTerminal({ agent: agent(IN) }).run('import', '/tmp/web.drayage');
  expect(status).toBe(0);
  expect(out).toContain('docker:web of /tmp/web.drayage now runs on b');
});

test('an import that waits for room is left with an error that says so', async () => {
  const answers = agent(IN);
  const error = { code: 'ARCHIVE_NO_ROOM', message: 'Full.', meaning: 'M.', remedy: 'R.' };
  const waits = {
    ...answers,
    'migrations.watch': (_: never, emit: (event: MigrationEvent) => void) => {
      emit({ time: 1, id: ID, type: 'waiting', error });
      return new Promise(() => {});
    },
  };
  const run = await new FakeTerminal({ agent: waits }).run('import', 'x');
  expect(run.error).toMatchObject({ code: 'ARCHIVE_NO_ROOM', message: 'Full.', remedy: 'R.' });
});

test('an import that waits can be taken back', async () => {
  const undone = agent(IN, { outcome: 'undone' });
  const { calls, out } = await new FakeTerminal({ agent: undone }).run('import', 'x', '--undo');
  expect(calls).toEqual(['archives.undo', 'migrations.watch']);
  expect(out).toContain('nothing of docker:web is on b; the archive is as it was');
});

test('a look into what is no archive', async () => {
  using directory = scratch();
  writeFileSync(`${directory.path}/x`, 'hello');
  const run = await new FakeTerminal().run('inspect', `${directory.path}/x`);
  expect(run.error?.code).toBe('ARCHIVE_FOREIGN');
  expect((await new FakeTerminal().run('inspect', '/nowhere/x')).error?.code).toBe('ARCHIVE_READ');
});
