import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ProgramError, type Run } from '../exec/run.ts';
import { scratch } from '../files/testing/rig.ts';
import { Relays, type StoredRelay } from '../traffic/relays.ts';
import { followPorts } from './port-handover.ts';

const RELAY: StoredRelay = {
  ...{ version: 1, id: '20261121-140309-1f2e', workload: 'process:7', peer: 'root@b', address: '127.0.0.2' },
  ...{ endpoints: [], since: 0 },
};
const missing = Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' });

/** An nft that fails so. */
const failing = (code: number | null, stderr: string, cause?: unknown): Run => {
  return (program) => Promise.reject(new ProgramError(program, 'failed', code, '', stderr, cause));
};

test.each([
  ['is not there', failing(null, '', missing)],
  ['has a kernel without tables', failing(1, 'Error: Could not process rule: Operation not supported')],
])('ports are free where nft %s', async (_, run) => {
  using directory = scratch();
  const relays = new Relays(join(directory.path, 'relays'));
  await followPorts(run, relays, RELAY);
  expect(relays.list()).toMatchObject([RELAY]);
});

test.each([
  ['refuses', failing(1, 'Error: Could not process rule: Device or resource busy')],
  ['is killed', failing(null, '')],
])('a hold that stays since nft %s is told, to be tried again', async (_, run) => {
  using directory = scratch();
  await expect(followPorts(run, new Relays(join(directory.path, 'relays')), RELAY)).rejects.toThrow(ProgramError);
});
