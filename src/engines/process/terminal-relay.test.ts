import { appendFileSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner, type Started, start } from '../../exec/run.ts';
import { TerminalRelay } from './terminal-relay.ts';

const run = runner();
let dir: string;
let holder: Started;
let relay: TerminalRelay;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'relay-'));
  await run('mkfifo', [join(dir, 'in'), join(dir, 'out')]);
  holder = start('sleep', ['60']);
  writeFileSync(join(dir, 'pid'), `${holder.pid}\n`);
  relay = new TerminalRelay(dir, run);
});
afterEach(() => {
  relay.close();
  holder.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

/** What the processes write. */
function print(text: string): void {
  appendFileSync(join(dir, 'out'), text);
}

function collector(): { text: () => string; viewer: (output: Buffer) => Promise<void> } {
  let seen = '';
  return {
    text: () => seen,
    viewer: async (output) => {
      seen += output.toString();
    },
  };
}

test('whoever attaches sees what was written last, and then all that comes', async () => {
  print('before ');
  await sleep(50);
  const { text, viewer } = collector();
  using _ = relay.attach(viewer);
  print('after');
  await sleep(50);
  expect(text()).toBe('before after');
});

test('a viewer that has left already does no harm', async () => {
  print('before ');
  await sleep(50);
  // What nobody catches fails the test.
  using _ = relay.attach(() => Promise.reject(new Error('the connection has ended')));
  await sleep(20);
});

test('of much output the end is kept', async () => {
  for (let round = 0; round < 40; round++) {
    print(`${round % 10}`.repeat(4096));
    await sleep(2);
  }
  await sleep(50);
  const { text, viewer } = collector();
  using _ = relay.attach(viewer);
  expect(text().length).toBeGreaterThanOrEqual(64 << 10);
  expect(text().length).toBeLessThan(72 << 10);
  expect(text().at(-1)).toBe('9');
});

test('a slow viewer is waited for', async () => {
  let release = (): void => {};
  let calls = 0;
  using _ = relay.attach(() => {
    calls++;
    return new Promise((resolve) => {
      release = resolve;
    });
  });
  print('one');
  await sleep(30);
  print('two');
  await sleep(30);
  expect(calls).toBe(1);
  release();
  await sleep(30);
  expect(calls).toBe(2);
  release();
});

test('what is typed arrives', () => {
  const input = openSync(join(dir, 'in'), 'r+');
  relay.type(Buffer.from('keys'));
  const read = Buffer.alloc(10);
  expect(read.toString('utf8', 0, readSync(input, read))).toBe('keys');
});

test('it ends with the program that holds the terminal', async () => {
  holder.kill('SIGKILL');
  await relay.ended;
  expect(relay.isGone).toBe(true);
});
