import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { terminalLogOf } from '../replay/draft.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { type FakeOptions, FakeTerminal } from './fake.ts';
import { ID, RESULT } from './report/example.ts';

const LOG = 'test/replay/corpus/bash-origin/session.jsonl';
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drayage-replay-'));
});
afterEach(() => rm(dir, { recursive: true }));

const run = (...words: string[]) => new FakeTerminal().run('replay', ...words);

test('of a log alone: shown, and written where that is asked for', async () => {
  const { out, error } = await run('--log', LOG, '--base', 'debian:13', '-o', join(dir, 'out'));
  expect(error).toBeUndefined();
  expect(out).toContain('3 commands were typed');
  expect(out).toContain('apt-get install vim -y');
  const written = await readFile(join(dir, 'out', 'Dockerfile'), 'utf8');
  expect(written).toContain('FROM debian:13\n');
  expect((await run('--log', LOG, '--base', 'x', '-o', join(dir, 'out'))).error).toMatchObject({
    code: 'REPLAY_OUTPUT',
  });
});

test('a secret that was typed is in nothing that is told or written', async () => {
  const log = 'test/replay/corpus/bash-secrets/session.jsonl';
  for (const flags of [[], ['--json']]) {
    const directory = join(dir, `out${flags.length}`);
    const { out } = await run('--log', log, '--base', 'debian:13', '-o', directory, '--keep-failed', ...flags);
    expect(out).toContain('REPLAY_SECRET');
    const written = await readFile(join(directory, 'Dockerfile'), 'utf8');
    for (const secret of ['s3cr3t-v4lue-0123', 'hunter22', 'ghp_abcdefghijklmnopqrstuvwxyz0123456789']) {
      expect(out + written).not.toContain(secret);
    }
  }
});

test('files that stood in commands are written beside it', async () => {
  await run('--log', 'test/replay/corpus/bash-lines/session.jsonl', '--base', 'debian:13', '-o', join(dir, 'out'));
  expect(await readFile(join(dir, 'out', 'files/etc/app.conf'), 'utf8')).toContain('port = 8080');
});

test.each([
  ['an empty log', '', 'REPLAY_EMPTY_LOG'],
  [
    'a log without prompts',
    '{"log":"listening on :80\\n","stream":"stdout","time":"2026-11-21T06:33:15Z"}\n',
    'REPLAY_NO_PROMPT',
  ],
  ['a log of another driver', '\0\0\0\u0014\n\u0006stdout', 'REPLAY_NOT_A_LOG'],
])('%s', async (_, content, code) => {
  await writeFile(join(dir, 'x.log'), content);
  const { error } = await run('--log', join(dir, 'x.log'), '--base', 'x');
  expect(error).toMatchObject({ code });
  expect(error?.remedy).not.toBe('');
});

test('a log that is not there, and a binary file', async () => {
  expect((await run('--log', join(dir, 'none'), '--base', 'x')).error).toMatchObject({ code: 'REPLAY_NO_LOG' });
  expect((await run('--log', process.execPath, '--base', 'x')).error).toMatchObject({ code: 'REPLAY_NOT_A_LOG' });
});

test("a prompt of the user's own", async () => {
  const lines = ['λ mkdir /srv/x\r\n', 'λ exit\r\n'];
  await writeFile(join(dir, 'x.log'), lines.map((log) => `${JSON.stringify({ log })}\n`).join(''));
  expect((await run('--log', join(dir, 'x.log'), '--base', 'x:1', '--prompt', 'λ ')).out).toContain('RUN mkdir /srv/x');
  expect((await run('--log', LOG, '--base', 'x', '--prompt', '(')).error).toMatchObject({
    code: 'REPLAY_PROMPT_REGEX',
  });
});

test.each([
  [['--log', LOG]],
  [['--log', LOG, '--base', 'x', '--to', 'b']],
  [['dev']],
  [[]],
  [['dev', '--log', LOG]],
  [['dev', '--to', 'b', '--require', '101']],
  [['dev', '-o', 'x', '--capture-rest']],
  [['dev', '-o', 'x', '--require', '100']],
  [['--log', LOG, '--base', 'x', '--start']],
  [['dev', '--to', 'b', '--base', 'x']],
])('%j is not understood', async (words) => expect((await run(...words)).error).toMatchObject({ code: 'USAGE' }));

test('a container without a terminal, with another log driver, or that never ran', () => {
  const inspect = (tty: boolean, driver: string, LogPath: string) =>
    ({
      Name: '/dev',
      Config: { Tty: tty },
      HostConfig: { LogConfig: { Type: driver } },
      LogPath,
    }) as unknown as ContainerInspect;
  const codeOf = (one: ContainerInspect) => {
    try {
      return terminalLogOf(one);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(codeOf(inspect(false, 'json-file', '/x'))).toBe('REPLAY_NO_TERMINAL');
  expect(codeOf(inspect(true, 'journald', ''))).toBe('REPLAY_LOG_DRIVER');
  expect(codeOf(inspect(true, 'json-file', ''))).toBe('REPLAY_EMPTY_LOG');
  expect(codeOf(inspect(true, 'json-file', '/x'))).toBe('/x');
});

const DRAFT = { dockerfile: 'FROM x\nRUN y\n', files: [], findings: [], commands: [{ text: 'y', fate: 'run' }] };

function agent(draft: object = DRAFT): NonNullable<FakeOptions['agent']> {
  const result = { ...RESULT, outageMs: null, rebuilt: { image: 'drayage-replay/dev:1', score: 99.5 } };
  return {
    'replays.draft': () => draft,
    'replays.start': () => ({ id: ID }),
    'migrations.watch': (_, emit) => {
      const differences = [{ path: '/etc/x', what: 'other content' }];
      emit({ type: 'proof', time: 1, id: ID, score: 99.5, paths: 200, differing: 1, differences });
      return result;
    },
  };
}

test('to another host: the Dockerfile is shown, the user asked, the proof told', async () => {
  const words = ['replay', 'docker:dev', '--to', 'root@b'];
  const agreed = await new FakeTerminal({ agent: agent(), answer: true }).run(...words);
  expect(agreed.calls).toEqual(['replays.draft', 'replays.start', 'migrations.watch']);
  expect(agreed.out).toContain('RUN y');
  expect(agreed.out).toContain('99.5 % of 200 paths are alike');
  expect(agreed.out).toContain('/etc/x other content');
  expect(agreed.out).toContain('rebuilt on');
  expect(agreed.status).toBe(0);
  const declined = await new FakeTerminal({ agent: agent(), answer: false }).run(...words);
  expect(declined.calls).toEqual(['replays.draft']);
  expect(declined.error).toMatchObject({ code: 'CANCELLED' });
  const nobody = await new FakeTerminal({ agent: agent(), answer: null }).run(...words);
  expect(nobody.error).toMatchObject({ code: 'CONFIRMATION_NEEDED' });
  const yes = await new FakeTerminal({ agent: agent(), answer: null }).run(...words, '--yes', '--json');
  expect(yes.out.split('\n').map((line) => line && JSON.parse(line).type)).toEqual(['draft', 'proof', '']);
});

test('what the user agreed to is named to the agent; with --yes nothing was shown', async () => {
  const asked: unknown[] = [];
  const start = (params: unknown) => {
    asked.push(params);
    return { id: ID };
  };
  const answers = { ...agent(), 'replays.start': start };
  const words = ['replay', 'docker:dev', '--to', 'root@b'];
  await new FakeTerminal({ agent: answers, answer: true }).run(...words);
  await new FakeTerminal({ agent: answers, answer: null }).run(...words, '--yes');
  expect(asked).toMatchObject([{ options: { agreed: expect.stringMatching(/^[0-9a-f]{64}$/) } }, { options: {} }]);
  expect(asked[1]).not.toHaveProperty('options.agreed');
});

test('the name of a file that leads out of the directory is refused', async () => {
  const file = { name: 'files/../../x', content: '', mode: 0o644, uid: 0, gid: 0 };
  const terminal = new FakeTerminal({ agent: agent({ ...DRAFT, files: [file] }) });
  const { error } = await terminal.run('replay', 'dev', '-o', join(dir, 'out'));
  expect(error).toMatchObject({ code: 'REPLAY_OUTPUT' });
});

test('what stands in the way is told before anything is asked', async () => {
  const finding = { code: 'REPLAY_NAME_TAKEN', severity: 'blocks', message: 'm', meaning: 'm', remedy: 'r' };
  const { error, calls } = await new FakeTerminal({
    agent: agent({ ...DRAFT, findings: [finding] }),
    answer: true,
  }).run(...['replay', 'dev', '--to', 'b', '--start']);
  expect(error).toMatchObject({ code: 'MIGRATION_BLOCKED' });
  expect(calls).toEqual(['replays.draft']);
});
