import { expect, test } from 'vitest';
import type { NetworkInspect } from '../../tools/docker-types.ts';
import { forgetStaleEndpoints } from './stale-endpoints.ts';

test.each<[string, Record<string, { Name: string }>, number]>([
  ['nobody’s, of that name', { 'ep-93ab': { Name: 'web' }, c0ffee: { Name: 'db' } }, 1],
  ['nobody’s, of another name', { 'ep-93ab': { Name: 'db' } }, 0],
  ['a container’s', { c0ffee: { Name: 'web' } }, 0],
  ['none', {}, 0],
])('an endpoint that is in the way: %s', async (_, Containers, times) => {
  const calls: unknown[] = [];
  const docker = { disconnect: async (...call: unknown[]) => void calls.push(call) };
  const networks = [{ Id: 'n1', Containers }] as unknown as NetworkInspect[];
  await forgetStaleEndpoints(docker, networks, 'web');
  expect(calls).toEqual(Array.from({ length: times }, () => ['n1', 'web', { force: true }]));
});
