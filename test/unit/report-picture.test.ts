import { expect, test } from 'vitest';
import { reportPicture } from '../../scripts/report-picture.ts';
import { htmlReport } from '../../src/cli/report/html/html.ts';
import { Samples } from '../../src/measure/samples.ts';
import { summarise } from '../../src/measure/summarise.ts';

function report(moves: number): string {
  const samples = new Samples();
  for (let atMs = 0; atMs < 3000; atMs += 10) {
    const isHeld = atMs >= 1000 && atMs < 1300;
    samples.add({ atMs, latencyMs: isHeld ? 1301 - atMs : 1.2, outcome: 'ok', lagMs: 0.1 });
  }
  const frozen = { fromMs: 1000, toMs: 1300 };
  const phases = [{ name: 'dump', ...frozen }];
  const move = { source: 'a', target: 'root@b', outcome: 'committed', outageMs: 300, frozen, phases } as const;
  const recording = { startedAt: 0, endMs: 3000, samples, connections: null };
  const summary = summarise(recording, Array(moves).fill({ ...move, phases, fromMs: 900, toMs: 1400 }));
  return htmlReport({ title: 'docker:<web>', summary, samples });
}

test('a picture has the chart of the report and its figures, and needs nothing else', () => {
  const picture = reportPicture(report(1));
  expect(picture).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="\d+"/);
  expect(picture).toContain('>300 ms</text><text class="label"');
  expect(picture).toContain('failed of 300 requests');
  expect(picture).toContain('class="dots"');
  expect(picture).toContain('prefers-color-scheme: dark');
  expect(picture.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|NaN|undefined|<div|<b>/);
  expect([...picture.matchAll(/<(svg|g|text|style)\b/g)].length).toBe(
    [...picture.matchAll(/<\/(svg|g|text|style)>/g)].length,
  );
});

test('what is no report of a move has no picture', () => {
  expect(() => reportPicture('<h1>x</h1>')).toThrow('no report of drayage bench');
  expect(() => reportPicture(report(0))).toThrow('no report of drayage bench');
});
