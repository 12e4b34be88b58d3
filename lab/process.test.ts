import { expect, it } from 'vitest';
import { start } from '../src/exec/run.ts';
import { identify, isAlive, processesWith, thisProcess } from './process.ts';

it('knows a process from another of the same pid', () => {
  expect(isAlive(thisProcess())).toBe(true);
  expect(isAlive({ ...thisProcess(), startedAt: '1' })).toBe(false);
});

it('sees that a process has ended', async () => {
  const child = start('sleep', ['60'], { env: { DRAYAGE_TEST_MARK: 'here' } });
  const id = identify(child.pid ?? 0);
  expect(id && isAlive(id)).toBe(true);
  expect(processesWith('environ', 'DRAYAGE_TEST_MARK=here\0')).toEqual([child.pid]);
  child.kill('SIGKILL');
  await child.exited;
  expect(id && isAlive(id)).toBe(false);
});
