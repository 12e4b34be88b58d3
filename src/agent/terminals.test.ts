import { mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import { scratch } from '../files/testing/rig.ts';
import { Terminals } from './terminals.ts';

const run = runner();
const [ONE, TWO] = ['20261121-140309-1f2e', '20261121-140310-1f2e'];

/** A terminal of process:4711 that this process holds. @returns the end where it reads what is typed */
async function terminal(directory: string, id: string): Promise<number> {
  const dir = join(directory, id);
  mkdirSync(dir);
  await run('mkfifo', [join(dir, 'in'), join(dir, 'out')]);
  writeFileSync(join(dir, 'workload'), 'process:4711\n');
  writeFileSync(join(dir, 'pid'), `${process.pid}\n`);
  return openSync(join(dir, 'in'), 'r+');
}

test('what is typed into one that was found arrives in its order', async () => {
  using directory = scratch();
  const input = await terminal(directory.path, ONE);
  const terminals = new Terminals(run, directory.path);
  const id = await terminals.find('process:4711');
  const keys = [...'in this order'];
  await Promise.all(keys.map((key) => terminals.type(id, Buffer.from(key))));
  const read = Buffer.alloc(100);
  expect(read.toString('utf8', 0, readSync(input, read))).toBe('in this order');
});

test('of two with the same name the id is asked for', async () => {
  using directory = scratch();
  for (const id of [ONE, TWO]) await terminal(directory.path, id);
  const terminals = new Terminals(run, directory.path);
  await expect(terminals.find('process:4711')).rejects.toMatchObject({ code: 'WORKLOAD_AMBIGUOUS' });
  await expect(terminals.find('process:12')).rejects.toMatchObject({ code: 'TERMINAL_UNKNOWN' });
  expect(await terminals.find(TWO)).toBe(TWO);
});
