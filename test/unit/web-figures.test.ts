import { expect, test } from 'vitest';
import { type WebRun, webFigures } from '../../bench/web-figures.ts';
import { noIncidents } from '../../src/measure/connection-log.ts';

const LAG = { count: 1, p50: 0, p90: 0, p99: 0, p999: 0, max: 3 };
const GAP = { fromMs: 0, toMs: 0, seenBy: 'connection' } as const;

function run(outageMs: number, gapMs: number, more: Partial<WebRun> = {}): WebRun {
  return {
    outageMs,
    seen: {
      requests: { sent: 1000, failed: 0, failures: {} },
      connections: { speak: 'tcp', count: 50, answered: 3000, broken: 0, incidents: noIncidents() },
      longestGap: { ...GAP, ms: gapMs },
      lag: LAG,
    },
    rounds: [100, 100, 100].map((answered) => ({ answered, asked: 100, ms: 80 })),
    download: { forwarded: [95e6, 90e6, 100e6], direct: [100e6, 100e6] },
    ...more,
  };
}

test('counts are of all runs; times and ratios are spread over them', () => {
  const figures = webFigures([run(300, 340), run(500, 510), run(400, 405)]);
  expect(figures).toMatchObject({ requests: 3000, failedRequests: 0, connections: 150, resets: 0, messages: 9000 });
  expect(figures.outageMs).toEqual({ median: 400, p90: 500, min: 300, max: 500 });
  // Each gap is compared to the outage of its own run.
  expect(figures.gapBeyondOutageMs).toEqual({ median: 10, p90: 40, min: 5, max: 40 });
  expect(figures.forwardedVsDirect.median).toBe(0.95);
  expect([figures.forwardedMBps, figures.directMBps]).toEqual([95, 100]);
  expect(figures.rounds).toMatchObject({ broken: 0, worst: { min: 1 }, usualMs: 80, example: [1] });
});

test('what went wrong in any run is there, by kind', () => {
  const incidents = { ...noIncidents(), lost: 70, repeated: 1, reset: 50 };
  const wrong = run(900, 2000, {
    seen: {
      requests: { sent: 1000, failed: 400, failures: { refused: 390, reset: 10 } },
      connections: { speak: 'tcp', count: 50, answered: 2000, broken: 100, incidents },
      longestGap: { ...GAP, ms: 2000 },
      lag: LAG,
    },
    rounds: [100, 100, 67, 0, 100, 90, 100, 100].map((answered) => ({ answered, asked: 100, ms: 50 })),
  });
  const figures = webFigures([wrong, run(900, 1000)]);
  expect(figures).toMatchObject({ failedRequests: 400, failures: { refused: 390, reset: 10 } });
  expect(figures).toMatchObject({ resets: 100, lostMessages: 70, repeatedMessages: 1 });
  expect(figures.rounds).toMatchObject({ broken: 3, worst: { min: 0, max: 1 } });
  expect(figures.rounds.example).toEqual([1, 0.67, 0, 1, 0.9, 1]);
});
