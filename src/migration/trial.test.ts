import { once } from 'node:events';
import { expect, test } from 'vitest';
import type { Docker } from '../tools/docker.ts';
import { Trial } from './trial.ts';

const FAILURE = new Error('nsenter: cannot open /proc/7/ns/net');

test.each<[string, boolean[], unknown]>([
  ['has ended', [false], { code: 'NOT_HEALTHY' }],
  ['has ended, of which the engine hears late', [true, true, true, false], { code: 'NOT_HEALTHY' }],
  ['runs', [true], FAILURE],
  ['is away with its engine', [], FAILURE],
])('what fails of a copy that %s is explained', async (_, answers, expected) => {
  const running = [...answers];
  const docker = {
    inspect: async () => {
      if (running.length === 0) throw new Error('no such container');
      return { State: { Running: running[0], ExitCode: 3 } };
    },
    wait: async (_: string, { signal }: { signal: AbortSignal }) => {
      while (running.length > 1) running.shift();
      if (running[0] === true) await once(signal, 'abort');
    },
  } as unknown as Docker;
  const common = { migrationId: 'm', containerId: 'c', stopping: new AbortController().signal };
  expect(await new Trial({ ...common, docker }).explain(FAILURE)).toMatchObject(expected as object);
});
