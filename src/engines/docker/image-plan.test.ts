import { expect, test } from 'vitest';
import type { HostFacts } from '../facts.ts';
import { familiarTag, planImage } from './image-plan.ts';

const ID = `sha256:${'a1b2c3d4'.repeat(8)}`;
const OTHER = `sha256:${'0'.repeat(64)}`;

test.each<[string, { reference: string; tags: string[] }, { id: string; tags: string[] }[], object]>([
  ['absent', { reference: 'web', tags: ['web:latest'] }, [], { load: true, tags: ['web:latest'], reference: 'web' }],
  [
    'there',
    { reference: 'web', tags: ['web:latest'] },
    [{ id: ID, tags: ['web:latest'] }],
    { load: false, tags: [], reference: 'web' },
  ],
  [
    'there without its tag',
    { reference: 'web', tags: ['web:latest'] },
    [{ id: ID, tags: [] }],
    { load: false, tags: [], reference: ID },
  ],
  [
    'tag is taken',
    { reference: 'web', tags: ['web:latest', 'web:1'] },
    [{ id: OTHER, tags: ['web:latest'] }],
    { load: true, tags: ['web:1'], reference: ID },
  ],
  ['tag has moved on at the source', { reference: 'web', tags: [] }, [], { load: true, tags: [], reference: ID }],
  ['by id', { reference: ID, tags: ['web:1'] }, [], { load: true, tags: ['web:1'], reference: ID }],
  ['by short id', { reference: 'a1b2c3d4a1b2', tags: [] }, [], { load: true, tags: [], reference: 'a1b2c3d4a1b2' }],
  ['by digest', { reference: `web@${OTHER}`, tags: ['web:1'] }, [], { load: true, tags: ['web:1'], reference: ID }],
])('%s', (_, image, images, plan) => {
  const target = { docker: { images } } as unknown as HostFacts;
  expect(planImage({ id: ID, layers: [], bytes: 0, ...image }, target)).toEqual({ id: ID, ...plan });
});

test.each([
  ['redis', 'redis:latest'],
  ['redis:7', 'redis:7'],
  ['docker.io/library/redis', 'redis:latest'],
  ['docker.io/me/app:1', 'me/app:1'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['registry.example/app:2', 'registry.example/app:2'],
])('%s is listed as %s', (reference, tag) => {
  expect(familiarTag(reference)).toBe(tag);
});
