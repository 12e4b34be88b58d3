import { expect, test } from 'vitest';
import { UndoStack } from './undo.ts';

test('runs newest first, each once', async () => {
  const ran: string[] = [];
  const stack = new UndoStack();
  stack.push('a', () => void ran.push('a'));
  stack.push('b', async () => void ran.push('b'));
  expect(await stack.run()).toEqual([]);
  expect(ran).toEqual(['b', 'a']);
  await stack.run();
  expect(ran).toEqual(['b', 'a']);
});

test('one that fails is told and holds up no other', async () => {
  const ran: string[] = [];
  const stack = new UndoStack();
  stack.push('a', () => void ran.push('a'));
  stack.push('b', () => {
    throw new Error('no');
  });
  expect(await stack.run()).toMatchObject([{ name: 'b', error: { message: 'no' } }]);
  expect(ran).toEqual(['a']);
});

test('after clear there is nothing to undo', async () => {
  const stack = new UndoStack();
  stack.push('a', () => {
    throw new Error('must not run');
  });
  stack.clear();
  expect(await stack.run()).toEqual([]);
});
