/** Whatever is typed, and however it is edited: the command that the shell ran is the one that is found. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSession } from '../../src/replay/session/read-session.ts';
import { quote } from '../../src/replay/session/simple-commands.ts';
import { BACKSPACE, ctrl, ENTER, ESCAPE, LEFT, RIGHT } from '../replay/session.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drayage-typing-'));
  await mkdir(join(dir, 'old'));
  await writeFile(join(dir, 'old/.inputrc'), 'set enable-bracketed-paste off\n');
});
afterAll(() => (process.env.KEEP ? undefined : rm(dir, { recursive: true })));

/** As the log tells it, slower than a program writes its next line: by a clock of the test's own, for a machine may be busy. */
const KEYS_MS = 170;
/** For what is typed to be echoed. */
const ECHO_MS = 100;
/** At the end of what came, and nothing typed after it. */
const PROMPT = new RegExp(`(?:^|\\n)(?:${ESCAPE}\\[[\\d;?]*[A-Za-z]|\r)*# $`);

/** Letters of which no program is made. */
const word = fc.string({ unit: fc.constantFrom('x', 'y', 'z', '0'), minLength: 1, maxLength: 9 });
const text = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join(' '));

type Edit = { keys: string; change: (line: Line) => Line };
interface Line {
  before: string;
  after: string;
}

const insertion = text.map(
  (keys): Edit => ({ keys, change: ({ before, after }) => ({ before: before + keys, after }) }),
);
const times = fc.integer({ min: 1, max: 12 });
const left = times.map((n): Edit => ({ keys: LEFT.repeat(n), change: (line) => at(line, line.before.length - n) }));
const right = times.map((n): Edit => ({ keys: RIGHT.repeat(n), change: (line) => at(line, line.before.length + n) }));
const backspace = times.map(
  (n): Edit => ({
    keys: BACKSPACE.repeat(n),
    change: ({ before, after }) => ({ before: before.slice(0, Math.max(0, before.length - n)), after }),
  }),
);
const home: Edit = { keys: ctrl('A'), change: (line) => at(line, 0) };
const end: Edit = { keys: ctrl('E'), change: (line) => at(line, Number.POSITIVE_INFINITY) };
const killRest: Edit = { keys: ctrl('K'), change: ({ before }) => ({ before, after: '' }) };
const killBefore: Edit = { keys: ctrl('U'), change: ({ after }) => ({ before: '', after }) };
const killWord: Edit = {
  keys: ctrl('W'),
  change: ({ before, after }) => ({ before: before.replace(/\S*\s*$/, ''), after }),
};

const readline = fc.array(
  fc.oneof(insertion, left, right, backspace, fc.constantFrom(home, end, killRest, killBefore, killWord)),
  { minLength: 1, maxLength: 8 },
);
/** The kernel knows no cursor keys. */
const cooked = fc.array(fc.oneof(insertion, backspace, fc.constantFrom(killBefore, killWord)), {
  minLength: 1,
  maxLength: 6,
});

const BASH = ['bash', '--norc', '--noprofile'] as const;
/** As it was before 5.1: nothing tells when its editor is left. */
const OLD_BASH = ['env', 'HOME=old', ...BASH] as const;

test.each([
  ['bash', BASH, readline, 60],
  ['bash on a narrow terminal', BASH, readline, 27],
  ['an old bash', OLD_BASH, readline, 60],
  ['sh', ['sh'], cooked, 80],
] as const)(
  'with %s',
  async (_, command, edits, columns) => {
    await fc.assert(
      fc.asyncProperty(fc.array(edits, { minLength: 3, maxLength: 6 }), async (commands) => {
        const expected = commands.map((one) => resultOf(one)).filter((one) => one !== '');
        const log = await typedInto(
          command,
          columns,
          commands.map((one) => one.map(({ keys }) => keys).join('')),
        );
        const found = (await readSession(log)).commands.map((one) => one.text.replace(/\s+/g, ' '));
        expect(found, `of ${log}`).toEqual([...expected, 'exit']);
      }),
      { numRuns: Number(process.env.RUNS ?? 5), endOnFailure: true },
    );
  },
  600_000,
);

function resultOf(edits: readonly Edit[]): string {
  const { before, after } = edits.reduce((line, { change }) => change(line), { before: '', after: '' });
  return (before + after).trim().replace(/\s+/g, ' ');
}

function at({ before, after }: Line, position: number): Line {
  const whole = before + after;
  const cursor = Math.min(Math.max(0, position), whole.length);
  return { before: whole.slice(0, cursor), after: whole.slice(cursor) };
}

/** What the shell wrote to its terminal, as the log that the engine makes of it. */
async function typedInto(command: readonly string[], columns: number, typed: readonly string[]): Promise<string> {
  const line = `stty cols ${columns} rows 24; exec ${command.map(quote).join(' ')}`;
  const env = { PATH: process.env.PATH, TERM: 'xterm', PS1: '# ', HOME: dir, SHELL: '/bin/sh' };
  const shell = spawn('script', ['-qec', line, '/dev/null'], { env, cwd: dir });
  let written = '';
  let since = '';
  let log = '';
  let clock = Date.now();
  shell.stdout.on('data', (chunk: Buffer) => {
    since += chunk;
    written += chunk;
    for (let newline = written.indexOf('\n'); newline >= 0; newline = written.indexOf('\n')) {
      const entry = { log: written.slice(0, newline + 1), stream: 'stdout', time: new Date(clock++).toISOString() };
      log += `${JSON.stringify(entry)}\n`;
      written = written.slice(newline + 1);
    }
  });
  const exited = new Promise((resolve) => shell.once('close', resolve));
  const prompted = async () => {
    for (let i = 0; i < 500 && !PROMPT.test(since); i++) await pause(10);
    since = '';
  };
  await prompted();
  for (const keys of [...typed, 'exit']) {
    shell.stdin.write(keys);
    await pause(ECHO_MS);
    since = '';
    clock += KEYS_MS;
    shell.stdin.write(ENTER);
    if (keys !== 'exit') await prompted();
  }
  await exited;
  const path = join(dir, `${randomUUID()}.jsonl`);
  await writeFile(path, log);
  return path;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
