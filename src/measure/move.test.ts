import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exampleEvents } from '../cli/report/example.ts';
import { moveOf } from './move.ts';

const events = exampleEvents();
const began = events[0]?.time ?? 0;

test('whatever the clocks and the delays, the phases lie where the quickest event puts them', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1e9, max: 1e9 }),
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: events.length, maxLength: events.length }),
      (offset, delays) => {
        const arrivals = events.map((event, i) => ({ event, atMs: event.time - began + offset + (delays[i] ?? 0) }));
        const move = moveOf(arrivals);
        const error = Math.min(...delays);
        expect(move?.fromMs).toBeCloseTo(offset + error, 3);
        expect(move?.toMs).toBeCloseTo(offset + error + 1000, 3);
        expect(move?.frozen?.fromMs).toBeCloseTo(offset + error + 704, 3);
        expect(move?.phases[0]).toMatchObject({ name: 'survey' });
      },
    ),
  );
});

test('a move tells who, where and how it ended', () => {
  const arrivals = events.map((event) => ({ event, atMs: event.time - began }));
  expect(moveOf(arrivals)).toMatchObject({ source: 'a', target: 'root@b', outcome: 'committed', outageMs: 256 });
  const undone = arrivals.map(({ event, atMs }) => {
    return { atMs, event: event.type === 'result' ? { ...event, outcome: 'undone' as const, outageMs: null } : event };
  });
  expect(moveOf(undone)).toMatchObject({ outcome: 'undone', frozen: null });
  expect(moveOf(arrivals.slice(0, -1))).toBeNull();
});
