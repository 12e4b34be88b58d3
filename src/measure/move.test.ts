import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MigrationEvent, Span } from '../migration/events.ts';
import { moveOf } from './move.ts';

const began = Date.UTC(2026, 10, 21);
const at = (ms: number) => ({ time: began + ms, id: 'x' });
const span = (name: string, startMs: number, ms: number, kind: Span['kind'] = 'phase'): MigrationEvent => {
  return { ...at(startMs + ms), type: 'span', span: { name, kind, side: 'source', startMs, ms } };
};
const result = { type: 'result', outcome: 'committed', outageMs: 256, totalMs: 1000, bytes: 1, phases: [] } as const;
const options = {
  remove: true,
  carryBinds: false,
  replaceFiles: false,
  strategy: 'auto' as const,
  allowRestart: false,
  dropConnections: false,
  handover: 'forward' as const,
  dryRun: false,
};
const events: MigrationEvent[] = [
  { ...at(0), type: 'started', workload: 'docker:web', source: 'a', target: 'root@b', options },
  span('survey', 0, 90),
  span('criu', 710, 80, 'program'),
  span('freeze', 700, 4),
  span('dump', 704, 96),
  span('commit', 950, 10),
  { ...at(1000), ...result, phases: [] },
];

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
        expect(move?.phases.map(({ name }) => name)).toEqual(['survey', 'freeze', 'dump', 'commit']);
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
