import { expect, test } from 'vitest';
import { type Candidate, changeOf, findRoot, leaderless, membersOf, topsOfTrees, treeOf } from './tree.ts';

const NOBODY = new Set<number>();

function process(pid: number, parent: number, name: string, more: Partial<Candidate> = {}): Candidate {
  const common = { state: 'S', group: pid, session: pid, terminal: 0, startedAt: '1', isInside: false };
  return { ...common, pid, parent, name, program: name, ...more };
}

const ALL = [
  process(1, 0, 'init'),
  process(10, 1, 'redis-server'),
  process(11, 10, 'redis-server'),
  process(20, 1, 'bash'),
  process(21, 20, 'python3'),
  process(22, 21, 'sleep'),
  process(30, 1, 'a-very-long-nam', { program: 'a-very-long-name' }),
  process(40, 1, 'nginx', { isInside: true }),
  process(50, 1, 'sleep'),
];

test('a process is found by its pid, and by a name that only its tree has', () => {
  expect(findRoot(ALL, '21', NOBODY).pid).toBe(21);
  expect(findRoot(ALL, 'redis-server', NOBODY).pid).toBe(10);
  expect(findRoot(ALL, 'a-very-long-name', NOBODY).pid).toBe(30);
});

test('a name of two trees is told with both', () => {
  expect(() => findRoot(ALL, 'sleep', NOBODY)).toThrow('process:22 or process:50');
});

test.each(['99', 'nobody', 'nginx'])('%s is none of the host', (name) => {
  expect(() => findRoot(ALL, name, NOBODY)).toThrow('There is no process');
});

test('drayage itself is no workload', () => {
  expect(() => findRoot(ALL, '20', new Set([20]))).toThrow('There is no process 20');
});

test('a tree is a process and all that descend from it, each after its parent', () => {
  expect(treeOf(ALL, 20)).toEqual([20, 21, 22]);
  expect(treeOf([process(3, 2, 'c'), process(2, 1, 'b'), process(4, 2, 'd')], 2)).toEqual([2, 3, 4]);
  expect(treeOf(ALL, 50)).toEqual([50]);
});

test('trees to choose from are sessions on terminals, their jobs, and what runs in the background', () => {
  const tty = { terminal: 34816, session: 20 };
  const all = [
    process(1, 0, 'init'),
    process(2, 0, 'kthreadd', { program: '' }),
    process(10, 1, 'redis-server'),
    process(11, 10, 'redis-server'),
    process(12, 1, 'ended', { state: 'Z' }),
    process(13, 1, 'nginx', { isInside: true }),
    process(15, 1, 'drayage'),
    process(19, 1, 'sshd'),
    process(20, 19, 'bash', tty),
    process(21, 20, 'make', { ...tty, group: 21 }),
    process(22, 21, 'cc', { ...tty, group: 21 }),
  ];
  expect(topsOfTrees(all, new Set([1, 15])).map(({ pid }) => pid)).toEqual([10, 19, 20, 21]);
});

const TREE = [
  { pid: 1, parent: 0, state: 'S', startedAt: '1' },
  { pid: 7, parent: 1, state: 'S', startedAt: '50' },
  { pid: 8, parent: 7, state: 'S', startedAt: '60' },
  { pid: 9, parent: 7, state: 'Z', startedAt: '70' },
];

test('a tree is that of the process that was looked at, not of another with its pid', () => {
  expect(membersOf(TREE, { pid: 7, id: '7-50' }).map(({ pid }) => pid)).toEqual([7, 8, 9]);
  for (const top of [
    { pid: 7, id: '7-49' },
    { pid: 6, id: '6-50' },
  ])
    expect(() => membersOf(TREE, top)).toThrow(expect.objectContaining({ code: 'TREE_CHANGED' }));
});

test.each([
  [[7, 8], undefined],
  [[8], 'Process 7 has ended.'],
  [[7, 8, 10], 'Process 10 has lost its parent meanwhile.'],
  [[7], 'Process 8 was put into another cgroup meanwhile.'],
])('a cgroup with %j: %s', (inside, change) => {
  expect(changeOf(inside, TREE, 7)).toBe(change);
});

test('sessions and groups whose leader has ended need their numbers, those of outside do not', () => {
  const job = { group: 20, session: 5 };
  const members = [
    process(20, 5, 'make', job),
    process(21, 20, 'sh', job),
    process(22, 20, 'daemon', { group: 30, session: 31 }),
    process(23, 20, 'other', { group: 23, session: 31 }),
    process(24, 20, 'kernel', { group: 0, session: 0 }),
  ];
  expect(leaderless([20, 21, 22, 23, 24], members)).toEqual([30, 31]);
  const inPipe = { group: 19, session: 5 };
  expect(leaderless([20, 21], [process(20, 5, 'tee', inPipe), process(21, 20, 'sh', inPipe)])).toEqual([]);
});
