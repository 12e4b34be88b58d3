import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

test.each<[string, number, number[], string[]]>([
  ['in order', 3, [1, 2, 3], ['answered', 'answered', 'answered']],
  ['one is left out and comes later', 3, [1, 3, 2], ['answered', 'answered', 'reordered']],
  ['twice', 2, [1, 1, 2], ['answered', 'repeated', 'answered']],
  ['never sent', 1, [2, 0, -1, Number.NaN, 1.5], ['garbled', 'garbled', 'garbled', 'garbled', 'garbled']],
])('what an answer means: %s', (_, sent, received, meanings) => {
  const ledger = new Ledger();
  for (let i = 0; i < sent; i++) ledger.send(i);
  expect(received.map((number) => ledger.answer(number))).toEqual(meanings);
});

test('an answer is due while something newer than the newest answer is open', () => {
  const ledger = new Ledger();
  for (let i = 0; i < 3; i++) ledger.send(i);
  expect(ledger.isAnswerDue).toBe(true);
  ledger.answer(3);
  expect([ledger.isAnswerDue, ledger.open]).toEqual([false, 2]);
  ledger.send(4);
  expect(ledger.isAnswerDue).toBe(true);
});

test('only what was sent before the given time is given up', () => {
  const ledger = new Ledger();
  for (const atMs of [10, 20, 30]) ledger.send(atMs);
  ledger.answer(2);
  expect(ledger.forfeit(30)).toEqual([10]);
  expect(ledger.forfeit()).toEqual([30]);
  expect(ledger.answer(1)).toBe('repeated');
});

test('whatever comes back, every message is answered once or lost', () => {
  const act = fc.oneof(fc.constant('send' as const), fc.integer({ min: -1, max: 40 }), fc.constant('break' as const));
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const ledger = new Ledger();
      let [sent, answered, lost] = [0, 0, 0];
      for (const [i, what] of acts.entries()) {
        if (what === 'send') sent = ledger.send(i);
        else if (what === 'break') lost += ledger.forfeit().length;
        else if (['answered', 'reordered'].includes(ledger.answer(what))) answered++;
        expect(ledger.open).toBe(sent - answered - lost);
      }
    }),
  );
});
