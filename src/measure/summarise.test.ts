import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConnectionLog, noIncidents } from './connection-log.ts';
import type { Recording } from './measure.ts';
import type { Move } from './move.ts';
import { Samples } from './samples.ts';
import { summarise } from './summarise.ts';

const ENDS = 10_000;

/** 100 requests a second that take 1 ms; what was to be sent while the workload stood still waits for its resume. */
function recording(frozen: [number, number][], log: ConnectionLog | null = null): Recording {
  const samples = new Samples();
  for (let atMs = 0; atMs < ENDS; atMs += 10) {
    const hold = frozen.find(([from, to]) => atMs >= from && atMs < to);
    samples.add({ atMs, latencyMs: hold === undefined ? 1 : hold[1] - atMs + 1, outcome: 'ok', lagMs: 0.5 });
  }
  return { startedAt: 0, endMs: ENDS, samples, connections: log && { speak: 'tcp', count: 2, log } };
}

function move(fromMs: number, [from, to]: [number, number], toMs: number): Move {
  const frozen = { fromMs: from, toMs: to };
  return { source: 'a', target: 'b', outcome: 'committed', outageMs: to - from, fromMs, toMs, frozen, phases: [] };
}

test('latency before, during and after each move, and the gap that its clients saw', () => {
  const [one, two]: [number, number][] = [
    [2000, 2400],
    [7000, 7300],
  ] as [number, number][];
  const moves = [move(1500, one as [number, number], 2600), move(6500, two as [number, number], 7600)];
  const { rounds, outageMs, longestGap, requests } = summarise(recording([one, two] as [number, number][]), moves);
  expect(requests).toEqual({ sent: 1000, failed: 0, failures: {} });
  expect(rounds.map(({ window }) => window)).toEqual([
    { fromMs: 0, toMs: 4550 },
    { fromMs: 4550, toMs: ENDS },
  ]);
  const [first, second] = rounds;
  expect(first?.latencyBy.before).toMatchObject({ count: 150, max: 1 });
  expect(first?.latencyBy.during).toMatchObject({ count: 110, max: 401 });
  expect(first?.latencyBy.frozen).toMatchObject({ count: 40, p50: 201, max: 401 });
  expect(first?.latencyBy.after.max).toBe(1);
  expect(first?.longestGap).toMatchObject({ ms: 410, fromMs: 1991, toMs: 2401, seenBy: 'requests' });
  expect(second?.longestGap).toMatchObject({ ms: 310, fromMs: 6991 });
  expect(longestGap?.ms).toBe(410);
  expect(outageMs).toEqual({ min: 300, median: 300, p90: 400, max: 400 });
  expect(first?.throughput).toMatchObject({ bucketMs: 100, fromMs: 0 });
  expect(first?.throughput.answered.slice(19, 26)).toEqual([10, 0, 0, 0, 0, 50 - 10 + 10, 10]);
});

test('what fails is no latency, and nobody answered is a gap', () => {
  const samples = new Samples();
  for (let atMs = 0; atMs < 1000; atMs += 10) {
    samples.add({ atMs, latencyMs: 1, outcome: atMs >= 500 ? 'refused' : 'ok', lagMs: 0 });
  }
  const { requests, latency, longestGap } = summarise({ startedAt: 0, endMs: 1000, samples, connections: null });
  expect(requests).toEqual({ sent: 100, failed: 50, failures: { refused: 50 } });
  expect(latency.count).toBe(50);
  expect(longestGap).toMatchObject({ ms: 500, fromMs: 491, toMs: 991 });
});

test('a connection that waited longer than any request is the longest gap, in its own round', () => {
  const log = new ConnectionLog();
  log.answer({ fromMs: 2000, toMs: 2900 });
  log.incident('lost', 0, 2100);
  log.incident('reset', 1, 8000);
  const moves = [move(1500, [2000, 2400], 2600), move(6500, [7000, 7300], 7600)];
  const { rounds, connections } = summarise(recording([], log), moves);
  expect(rounds[0]?.longestGap).toMatchObject({ ms: 900, seenBy: 'connection' });
  expect(rounds[1]?.longestGap?.seenBy).not.toBe('connection');
  expect(rounds.map((round) => round.connections?.incidents)).toEqual([
    { ...noIncidents(), lost: 1 },
    { ...noIncidents(), reset: 1 },
  ]);
  expect(connections).toEqual({
    speak: 'tcp',
    count: 2,
    answered: 1,
    broken: 1,
    incidents: { ...noIncidents(), reset: 1, lost: 1 },
  });
});

test('rounds leave nothing out and count nothing twice', () => {
  const cut = fc.integer({ min: 0, max: ENDS });
  fc.assert(
    fc.property(fc.array(fc.tuple(cut, cut), { maxLength: 5 }), fc.array(cut, { maxLength: 50 }), (stretches, lost) => {
      const log = new ConnectionLog();
      for (const atMs of lost) log.incident('lost', 0, atMs);
      const ends = stretches.flat().sort((a, b) => a - b);
      const moves = stretches.map((_, i) => {
        const [from = 0, to = 0] = ends.slice(2 * i, 2 * i + 2);
        return move(from, [from, to], to);
      });
      const { rounds, requests, connections } = summarise(recording([], log), moves);
      if (rounds.length === 0) return;
      const sum = (numbers: (number | undefined)[]) =>
        numbers.reduce<number>((total, number) => total + (number ?? 0), 0);
      expect(sum(rounds.map((round) => round.requests.sent))).toBe(requests.sent);
      expect(sum(rounds.map((round) => round.connections?.incidents.lost))).toBe(connections?.incidents.lost ?? 0);
      for (const { latencyBy, requests: own } of rounds) {
        expect(latencyBy.before.count + latencyBy.during.count + latencyBy.after.count).toBe(own.sent);
      }
    }),
    { numRuns: 30 },
  );
});
