import { expect, it } from 'vitest';
import { DrayageError } from '../errors.ts';
import type { Docker } from '../tools/docker.ts';
import { giveNameBack, startAgain } from './stop.ts';

/** An engine whose container runs for the first `looks` looks; undefined: there is none. */
function engine(looks: number | undefined): { docker: Docker; starts: string[] } {
  const starts: string[] = [];
  let looked = 0;
  const docker = {
    async inspect() {
      if (looks === undefined) throw new DrayageError('DOCKER_NOT_FOUND', 'No such container.');
      return { State: { Running: looked++ < looks } };
    },
    async start(id: string) {
      starts.push(id);
    },
  };
  return { docker: docker as unknown as Docker, starts };
}

it.each<[string, number | undefined, boolean, boolean]>([
  ['it was stopped', 0, true, true],
  ['it is still stopping', 2, true, true],
  ['it runs on: it was never told to stop', 1000, true, false],
  ['it did not run before', 0, false, false],
  ['it is gone', undefined, true, false],
])('starts a container again where that is to be done: %s', async (_, looks, running, expected) => {
  const { docker, starts } = engine(looks);
  await startAgain(docker, { containerId: 'c0ffee', restart: { running, stopMs: 100 } }, 300);
  expect(starts).toEqual(expected ? ['c0ffee'] : []);
});

const STARTED = {
  ...{ containerId: 'c0ffee', name: 'web', cgroupPath: '', stage: '', volumes: [], restartPolicy: { Name: 'no' } },
  restart: { running: true, stopMs: 100 },
};
const ID = '20261121-120000-abcd';

it.each<[string, string, string | undefined, string[], RegExp | undefined]>([
  ['it has the name that it is kept under', `web-moved-${ID}`, undefined, ['web'], undefined],
  ['it has its own', 'web', undefined, [], undefined],
  ['somebody called it something else', 'other', undefined, [], undefined],
  ['another has its name', `web-moved-${ID}`, 'Conflict. The name "/web" is already in use', [], /another container/],
])('gives a container its name back: %s', async (_, has, refused, expected, told) => {
  const names: string[] = [];
  const docker = {
    inspect: async () => ({ Name: `/${has}` }),
    rename: async (_id: string, name: string) => {
      if (refused !== undefined) throw new DrayageError('DOCKER_REFUSED', refused);
      names.push(name);
    },
  };
  const said = await giveNameBack(docker as unknown as Docker, STARTED, ID);
  expect(names).toEqual(expected);
  expect(said ?? '').toMatch(told ?? /^$/);
});
