import { expect, test } from 'vitest';
import type { Span } from './events.ts';
import { Trace } from './trace.ts';

test('every phase, step and program becomes a span, also where it fails', async () => {
  const seen: Span[] = [];
  const trace = new Trace('source', (span) => seen.push(span));
  await trace.phase('prepare', () => trace.step('image', async () => {}));
  await expect(trace.phase('dump', () => Promise.reject(new Error('x')))).rejects.toThrow('x');
  trace.program('runc', performance.now(), 12.34);
  expect(seen.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    'step image',
    'phase prepare',
    'phase dump',
    'program runc',
  ]);
  expect(seen.at(-1)?.ms).toBe(12.3);
});

test('phases add up, and spans of the other side are put on this clock', () => {
  const trace = new Trace('source');
  const span = (startMs: number, ms: number): Span => ({ name: 'sync', side: 'target', kind: 'phase', startMs, ms });
  trace.adopt([span(0, 5), span(10, 7)], 100);
  expect(trace.phaseMs('sync')).toBe(12);
  expect(trace.spans.map(({ startMs }) => startMs)).toEqual([100, 110]);
});
