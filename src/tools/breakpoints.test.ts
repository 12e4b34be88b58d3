import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { readyBreakpoints } from './breakpoints.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'breakpoints-'));
  mkdirSync(join(dir, 'stage'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test.each([0, 1])(
  'what is dumped is a process of its own, and nothing is left of it (exit status %i)',
  async (status) => {
    const criuPath = join(dir, 'criu');
    const script = `#!/bin/sh\necho "$3 $(cat /proc/$3/comm)" >${dir}/dumped\necho "$@" >>${dir}/dumped\nexit ${status}\n`;
    writeFileSync(criuPath, script, { mode: 0o700 });
    await readyBreakpoints({ run: runner(), criuPath, dir: join(dir, 'stage') });
    const [who = '', how] = readFileSync(join(dir, 'dumped'), 'utf8').split('\n');
    expect(who).toMatch(/^\d+ sleep$/);
    expect(how).toContain('--leave-running');
    expect(readdirSync(join(dir, 'stage'))).toEqual([]);
    const isThere = (): boolean => existsSync(`/proc/${who.split(' ')[0]}`);
    for (const until = Date.now() + 5000; isThere() && Date.now() < until; ) await sleep(5);
    expect(isThere()).toBe(false);
  },
);
