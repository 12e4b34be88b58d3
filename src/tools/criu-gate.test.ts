import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { scratch } from '../files/testing/rig.ts';
import { Gate } from './criu-gate.ts';

const run = runner();

/** Somebody who reads the file, as CRIU does; resolves to what that held. */
function reads(path: string): Promise<string> {
  return text(spawn('cat', [path]).stdout);
}

test('who comes to it waits until it is passed, and reads what it is given', async () => {
  using directory = scratch();
  const path = `${directory.path}/fifo`;
  const gate = await Gate.make(path, run);
  let isWaiting = true;
  const read = reads(path).finally(() => {
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
  using directory = scratch();
  const path = `${directory.path}/fifo`;
  const gate = await Gate.make(path, run);
  if (when === 'before it is reached') gate.shut();
  const read = reads(path);
  expect(await gate.reached).toBe(when === 'afterwards');
  gate.shut();
  gate.pass(Buffer.from('too late'));
  expect(await read).toBe('');
});

test('one that nobody comes to ends with whoever should have come', async () => {
  using directory = scratch();
  const gate = await Gate.make(`${directory.path}/fifo`, run);
  setTimeout(() => gate.over(), 20);
  expect(await gate.reached).toBe(false);
});

test('who is killed at it does not keep it from being passed', async () => {
  using directory = scratch();
  const path = `${directory.path}/fifo`;
  const gate = await Gate.make(path, run);
  const reader = spawn('cat', [path]);
  await gate.reached;
  reader.kill('SIGKILL');
  await new Promise((resolve) => reader.once('close', resolve));
  expect(() => gate.pass(Buffer.from('content'))).not.toThrow();
});
