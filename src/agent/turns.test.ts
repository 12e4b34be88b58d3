import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

it('one after another, whatever becomes of the one before', async () => {
  const turns = new Turns();
  const told: string[] = [];
  const work = (name: string, ms: number) => async () => {
    told.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, ms));
    told.push(`${name} ends`);
    if (name === 'b') throw new Error('b');
    return name;
  };
  const all = [turns.take(work('a', 20)), turns.take(work('b', 10)), turns.take(work('c', 0))];
  expect(await Promise.allSettled(all)).toMatchObject([{ value: 'a' }, { reason: { message: 'b' } }, { value: 'c' }]);
  expect(told).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});
