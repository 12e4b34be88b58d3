import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { start } from '../exec/run.ts';
import { recordAgent, runningAgent, stopAgent } from './agent-process.ts';

const about = { version: '1', build: 'abc' };

test('finds the process that recorded itself, and no other one by that number', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'drayage-')), 'run/agent.json');
  expect(await runningAgent(file)).toBeNull();
  await recordAgent(about, file);
  expect(await runningAgent(file)).toMatchObject({ pid: process.pid, ...about });
  const record = JSON.parse(await readFile(file, 'utf8'));
  for (const wrong of [{ ...record, started: '1' }, { ...record, pid: 99999999 }, { pid: 'x' }]) {
    await writeFile(file, JSON.stringify(wrong));
    expect(await runningAgent(file)).toBeNull();
  }
  await writeFile(file, '{');
  expect(await runningAgent(file)).toBeNull();
});

test('stops it, by force where it does not listen', async () => {
  const child = start('sh', ['-c', 'trap "" TERM; echo deaf; while :; do sleep 0.05; done']);
  await once(child.stdout, 'data');
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  await stopAgent({ pid: child.pid ?? 0, started, ...about }, 100);
  expect((await child.exited).signal).toBe('SIGKILL');
});
