import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TouchedMemory } from './touch.ts';

test('takes what was asked for, and gives it back', async () => {
  const directory = mkdtempSync('/dev/shm/drayage-touch-');
  const path = join(directory, 'touched');
  try {
    const touched = TouchedMemory.begin(path, 5 << 20);
    await expect.poll(() => existsSync(path) && statSync(path).size).toBe(5 << 20);
    await touched.release();
    await touched.release();
    expect(existsSync(path)).toBe(false);
    const stopped = TouchedMemory.begin(path, 1 << 30);
    await stopped.release();
    expect(existsSync(path)).toBe(false);
    // More than there is: nothing is taken, and nothing fails.
    const most = TouchedMemory.begin(path, 2 ** 50);
    await most.release();
    expect(existsSync(path)).toBe(false);
    // A directory that is gone is no reason to fail either.
    await TouchedMemory.begin(join(directory, 'no/such/file'), 1 << 20).release();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
