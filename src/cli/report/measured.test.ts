import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConnectionLog } from '../../measure/connection-log.ts';
import type { RequestOutcome } from '../../measure/samples.ts';
import { Samples } from '../../measure/samples.ts';
import { summarise } from '../../measure/summarise.ts';
import { renderBench, renderProbe, typical } from './figures.ts';
import { htmlReport } from './html/html.ts';
import { decades, logarithmic, powersIn, roundUp, ticks } from './html/scale.ts';
import { barCell, renderPlot, squeeze } from './plot.ts';
import { columnsOf, look } from './style.ts';

const LOOK = look({ colour: false, width: 100 });

/** Three moves with outages of 300, 500 and 400 ms under 100 requests a second; in the last one requests fail. */
function example({ tcp = true, moved = true } = {}) {
  const samples = new Samples();
  const log = new ConnectionLog();
  const outages = moved ? [300, 500, 400] : [];
  for (let atMs = 0; atMs < 9000; atMs += 10) {
    const round = Math.floor(atMs / 3000);
    const [from, to] = [round * 3000 + 1000, round * 3000 + 1000 + (outages[round] ?? 0)];
    const isHeld = atMs >= from && atMs < to;
    const outcome: RequestOutcome = isHeld && round === 2 ? 'refused' : 'ok';
    samples.add({ atMs, latencyMs: isHeld && outcome === 'ok' ? to - atMs + 1 : 1.2, outcome, lagMs: 0.6 });
    log.answer({ fromMs: atMs, toMs: atMs + 1 });
  }
  if (moved) log.incident('reset', 3, 7300);
  const connections = tcp ? { speak: 'tcp' as const, count: 5, log } : null;
  const moves = outages.map((outageMs, round) => {
    const start = round * 3000;
    const frozen = { fromMs: start + 1000, toMs: start + 1000 + outageMs };
    const phases = [
      { name: 'prepare', fromMs: start + 500, toMs: start + 1000 },
      { name: 'dump', ...frozen },
      { name: 'release', fromMs: frozen.toMs, toMs: frozen.toMs + 100 },
    ];
    const hosts = { source: '<a>', target: round % 2 === 0 ? 'root@b' : '<a>' };
    return {
      ...hosts,
      outcome: 'committed' as const,
      outageMs,
      frozen,
      phases,
      fromMs: start + 500,
      toMs: frozen.toMs + 100,
    };
  });
  return { samples, summary: summarise({ startedAt: 0, endMs: 9000, samples, connections }, moves) };
}

test('a bench: every round, the medians, and a plot of the median one', () => {
  const text = renderBench(example().summary, LOOK);
  const lines = text.split('\n');
  expect(lines[0]).toMatch(/^# +to +outage +gap +failed +broken +lost +repeated +p99 before +during +after$/);
  expect(lines[1]).toMatch(/^1 +root@b +300 ms +310 ms +0 +0 +0 +0 +1.2 ms/);
  expect(lines[3]).toMatch(/^3 +root@b +400 ms +410 ms +40 +1 +0 +0/);
  expect(lines[4]).toMatch(/median +400 ms/);
  expect(text).toContain('40 refused: nobody listened');
  expect(text).toContain('1 broken (1 reset, 0 closed, 0 silent)');
  expect(text).toContain('of round 3, the median one');
  for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(125);
});

test('a probe: the figures and the whole time', () => {
  const text = renderProbe(example({ moved: false, tcp: false }).summary, LOOK);
  expect(text).toContain('900 at 100/s, 0 failed');
  expect(text).not.toContain('connections');
  expect(text).toContain('own lag');
});

test('the typical round has the median outage', () => {
  expect(typical(example().summary)?.round).toBe(3);
  expect(typical({ rounds: [] })).toBeUndefined();
});

test.each([
  ['a bench', {}],
  ['without connections', { tcp: false }],
  ['a probe', { moved: false }],
])('a report is one file that needs nothing else: %s', (_, options) => {
  const { summary, samples } = example(options);
  const html = htmlReport({ title: '<docker:web>', summary, samples });
  expect(html).toMatch(/^<!doctype html>/);
  expect(html).toContain('&lt;docker:web&gt;');
  expect(html).not.toContain('<docker:web>');
  expect(html).not.toContain('<a>');
  expect(html).not.toMatch(/https?:|<script|<link|@import|url\(|NaN|undefined|Infinity/);
  const opened = [...html.matchAll(/<(svg|section|table|div|g|figure|dl)\b/g)].length;
  expect([...html.matchAll(/<\/(svg|section|table|div|g|figure|dl)>/g)]).toHaveLength(opened);
});

test('a report of nothing is a report', () => {
  const summary = summarise({ startedAt: 0, endMs: 0, samples: new Samples(), connections: null });
  expect(htmlReport({ title: 'x', summary, samples: new Samples() })).not.toMatch(/NaN|undefined|Infinity/);
});

test('bars are as high as their share', () => {
  expect([0, 0.125, 0.5, 1].map((share) => barCell(share, 0, 1))).toEqual([' ', '▁', '▄', '█']);
  expect([0, 1].map((row) => barCell(0.75, row, 2))).toEqual(['█', '▄']);
});

test('a column that stands for several values keeps the one that counts', () => {
  expect(squeeze([1, 2, 3], 10, 'least')).toEqual([1, 2, 3]);
  expect(squeeze([9, 9, 0, 9], 2, 'least')).toEqual([9, 0]);
  fc.assert(
    fc.property(
      fc.array(fc.nat(), { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 100 }),
      (values, columns) => {
        expect(Math.min(...squeeze(values, columns, 'least'))).toBe(Math.min(...values));
        expect(Math.max(...squeeze(values, columns, 'most'))).toBe(Math.max(...values));
        expect(squeeze(values, columns, 'most').length).toBe(Math.min(values.length, columns));
      },
    ),
  );
});

test('an outage is seen without colour, too', () => {
  const ends = ['0 s', '1 s'] as const;
  const values = [20, 20, 20, 0, 0, 60, 20, 20, 20, 20, 20];
  const plot = renderPlot({ title: 'requests', values, keep: 'least', marked: [3, 5], ends }, LOOK);
  const lines = plot.split('\n');
  expect(lines[1]).toBe('     >40    ··█     ');
  expect(lines[4]).toBe('       0 ███··██████');
});

test('axes have round numbers, and scales stay in their domain', () => {
  expect(ticks({ fromMs: 0, toMs: 1000 }, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
  expect(ticks({ fromMs: -950, toMs: 1100 }, 5)).toEqual([-500, 0, 500, 1000]);
  expect(decades(1.2, 430)).toEqual([1, 1000]);
  expect(powersIn([0.5, 1000])).toEqual([1, 10, 100, 1000]);
  expect([0, 7, 11, 23, 950].map(roundUp)).toEqual([1, 8, 15, 30, 1000]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }), (a, b) => {
      const domain = decades(Math.min(a, b), Math.max(a, b));
      const y = logarithmic(domain, [100, 0]);
      for (const value of [a, b]) expect(y(value)).toBeGreaterThanOrEqual(-1e-6);
      expect(y(Math.max(a, b))).toBeLessThanOrEqual(100 + 1e-6);
    }),
  );
});
