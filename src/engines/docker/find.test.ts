import { expect, test } from 'vitest';
import type { ContainerSummary } from '../../tools/docker-types.ts';
import { findContainer, nameOf } from './find.ts';

const CONTAINERS = [
  ['web', 'abc1'],
  ['database', 'abc2'],
  ['abc', 'def1'],
].map(([name, id]) => ({
  Id: id?.padEnd(64, '0'),
  Names: ['/other/alias', `/${name}`],
})) as unknown as ContainerSummary[];

test.each([
  ['web', 'web'],
  ['abc', 'abc'],
  ['abc1', 'web'],
  ['ABC2', 'database'],
  ['d', 'abc'],
])('%s means %s', (asked, name) => {
  expect(nameOf(findContainer(CONTAINERS, asked))).toBe(name);
});

test.each([
  ['wbe', 'WORKLOAD_UNKNOWN', 'Did you mean web'],
  ['data', 'WORKLOAD_UNKNOWN', 'Did you mean database?'],
  ['nothing-like-it', 'WORKLOAD_UNKNOWN', 'There is no container nothing-like-it here.'],
  ['', 'WORKLOAD_UNKNOWN', 'There is no container'],
  ['ab', 'WORKLOAD_AMBIGUOUS', 'web (abc100000000) or database (abc200000000)'],
])('%s is an error: %s', (asked, code, message) => {
  expect(() => findContainer(CONTAINERS, asked)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  );
});

test('a container without a name of its own goes by its id', () => {
  expect(nameOf({ Id: 'a'.repeat(64), Names: [] } as unknown as ContainerSummary)).toBe('a'.repeat(12));
});
