import { expect, test } from 'vitest';
import { fromJournal, type Resource, toJournal } from './resource.ts';

const resources: Resource[] = [
  { kind: 'stage', path: '/run/drayage/stage/m1' },
  { kind: 'image', id: 'sha256:1', tags: ['web:1'] },
  { kind: 'built', name: 'drayage-replay/web:m1' },
  { kind: 'network', name: 'front' },
  { kind: 'volume', name: 'data' },
  { kind: 'directory', path: '/srv/web' },
  { kind: 'container', temporaryName: 'drayage-m1', restartPolicy: { Name: 'always', MaximumRetryCount: 0 } },
  { kind: 'guard', containerId: 'c1' },
  { kind: 'rendezvous', containerId: 'c1' },
];

test.each(resources)('$kind comes out of the journal as it went in', (resource) => {
  expect(fromJournal(JSON.parse(JSON.stringify(toJournal(resource))))).toEqual(resource);
});

test('each has a key of its own, and a container keeps its key when its id becomes known', () => {
  expect(new Set(resources.map((resource) => toJournal(resource).key)).size).toBe(resources.length);
  const container = resources.find((resource) => resource.kind === 'container') as Resource & { kind: 'container' };
  expect(toJournal({ ...container, id: 'c1' }).key).toBe(toJournal(container).key);
});

test('what is not known is refused, not removed by guesswork', () => {
  expect(() => fromJournal({ kind: 'universe', key: 'universe' })).toThrow(/unknown resource/);
});
