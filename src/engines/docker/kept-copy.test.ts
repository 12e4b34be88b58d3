import { expect, test } from 'vitest';
import type { ContainerSummary } from '../../tools/docker-types.ts';
import { keptName, keptVolumes, volumeUsers } from './kept-copy.ts';

const ID = '20261121-010419-2403';

function container(name: string, State: ContainerSummary['State'], ...volumes: string[]): ContainerSummary {
  const Mounts = [...volumes.map((Name) => ({ Type: 'volume', Name })), { Type: 'bind', Source: '/srv' }];
  return { Id: name, Names: [`/${name}`], Image: 'i', ImageID: 'i', State, Mounts };
}

test.each([
  ['a kept copy', [container(keptName('web', ID), 'exited', 'data')], ['data']],
  ['a kept copy that somebody started', [container(keptName('web', ID), 'running', 'data')], []],
  ['another container', [container('web', 'exited', 'data')], []],
  ['both', [container(keptName('web', ID), 'exited', 'data', 'own'), container('backup', 'running', 'data')], ['own']],
  ['a name that only looks like one', [container('web-moved-away', 'exited', 'data')], []],
] as const)('volumes of %s', (_, containers, expected) => {
  expect(keptVolumes(containers)).toEqual(expected);
});

test('other users of a volume', () => {
  const containers = [
    container('web', 'running', 'data', 'own'),
    container('backup', 'exited', 'data', 'elsewhere'),
    container(keptName('web', ID), 'exited', 'data'),
  ];
  expect(volumeUsers(['data', 'own'], containers, 'web')).toEqual({ data: ['backup'] });
});
