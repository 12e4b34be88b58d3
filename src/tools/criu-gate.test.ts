import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner, start } from '../exec/run.ts';
import { Gate } from './criu-gate.ts';

const run = runner();
let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gate-'));
  path = join(dir, 'fifo');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Somebody who reads the file, as CRIU does; resolves to what that held. */
async function reads(): Promise<string> {
  return (await run('cat', [path])).stdout;
}

test('who comes to it waits until it is passed, and reads what it is given', async () => {
  const gate = await Gate.make(path, run);
  let isWaiting = true;
  const read = reads().finally(() => {
    isWaiting = false;
  });
  expect(await gate.reached).toBe(true);
  await sleep(50);
  expect(isWaiting).toBe(true);
  gate.pass(Buffer.from('content'));
  expect(await read).toBe('content');
  gate.over();
});

test.each(['before it is reached', 'afterwards'])('who comes to one that is shut %s reads nothing', async (when) => {
  const gate = await Gate.make(path, run);
  if (when === 'before it is reached') gate.shut();
  const read = reads();
  expect(await gate.reached).toBe(when === 'afterwards');
  gate.shut();
  gate.pass(Buffer.from('too late'));
  expect(await read).toBe('');
});

test('one that nobody comes to ends with whoever should have come', async () => {
  const gate = await Gate.make(path, run);
  setTimeout(() => gate.over(), 20);
  expect(await gate.reached).toBe(false);
});

test('who is killed at it does not keep it from being passed', async () => {
  const gate = await Gate.make(path, run);
  const reader = start('cat', [path]);
  await gate.reached;
  reader.kill('SIGKILL');
  await reader.exited;
  expect(() => gate.pass(Buffer.from('content'))).not.toThrow();
});
