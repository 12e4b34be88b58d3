import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { startClock } from './clock.ts';
import { failureOf } from './failure.ts';
import { percentiles, spread } from './percentiles.ts';
import { type RequestSample, Samples } from './samples.ts';
import { schedule } from './schedule.ts';
import { parseTcp, parseUrl } from './target.ts';

const coded = (code: string, cause?: unknown) => Object.assign(new Error(code, { cause }), { code });

test.each([
  [coded('ECONNREFUSED'), 'refused'],
  [coded('ECONNRESET'), 'reset'],
  [coded('UND_ERR_SOCKET'), 'reset'],
  [coded('UND_ERR_SOCKET', coded('ETIMEDOUT')), 'timeout'],
  [coded('ETIMEDOUT'), 'timeout'],
  [coded('EHOSTUNREACH'), 'unreachable'],
  [coded('HPE_INVALID_CONSTANT'), 'garbled'],
  [Object.assign(new Error('no HTTP'), { name: 'HTTPParserError' }), 'garbled'],
  [coded('EADDRNOTAVAIL'), 'local'],
  [new Error('what?'), 'other'],
  [undefined, 'other'],
])('%s is a failure of the kind %s', (error, kind) => {
  expect(failureOf(error)).toBe(kind);
});

test('percentiles are values that were seen', () => {
  expect(percentiles([])).toEqual({ count: 0, p50: null, p90: null, p99: null, p999: null, max: null });
  expect(percentiles([3, 1, 2])).toMatchObject({ count: 3, p50: 2, p90: 3, max: 3 });
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  expect(percentiles(hundred)).toMatchObject({ p50: 50, p90: 90, p99: 99, p999: 100 });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1 }), (values) => {
      const { p50, p99, max } = percentiles(values);
      expect(values).toContain(p50);
      expect(p50 as number).toBeLessThanOrEqual(p99 as number);
      expect(max).toBe(Math.max(...values));
      expect(values.filter((value) => value <= (p99 as number)).length).toBeGreaterThanOrEqual(values.length * 0.99);
    }),
  );
});

test('a spread leaves out what is not known', () => {
  expect(spread([null, 3, 1, 2])).toEqual({ min: 1, median: 2, p90: 3, max: 3 });
  expect(spread([null])).toBeNull();
});

test('of too many samples the oldest go, but none is left uncounted', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5000 }), (length) => {
      const samples = new Samples(2000);
      const sample = (atMs: number): RequestSample => ({
        atMs,
        latencyMs: 1,
        lagMs: 0,
        outcome: atMs % 2 ? 'ok' : 'reset',
      });
      for (let i = 0; i < length; i++) samples.add(sample(i));
      const kept = [...samples];
      expect(kept.length).toBe(Math.min(length, 2000));
      expect(kept.map(({ atMs }) => atMs)).toEqual(kept.map((_, i) => length - kept.length + i));
      expect(samples.counts.ok + samples.counts.reset).toBe(length);
    }),
    { numRuns: 20 },
  );
});

test('a schedule that was held up makes up for every tick, in order and at its own time', async () => {
  const clock = startClock();
  const stop = new AbortController();
  const seen: [number, number][] = [];
  schedule({
    clock,
    intervalMs: 2,
    signal: stop.signal,
    due: (index, atMs) => {
      seen.push([index, atMs]);
      if (index === 10) for (const until = clock.now() + 50; clock.now() < until; );
    },
  });
  await vi.waitFor(() => expect(seen.length).toBeGreaterThan(60));
  stop.abort();
  const { length } = seen;
  const [[, startMs] = [0, 0]] = seen;
  for (const [i, [index, atMs]] of seen.entries()) {
    expect(index).toBe(i);
    expect(atMs).toBeCloseTo(startMs + i * 2, 6);
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(seen.length).toBe(length);
});

test.each([
  ['web:80', { host: 'web', port: 80 }],
  ['10.0.0.1:7007', { host: '10.0.0.1', port: 7007 }],
  ['[fd00::1]:7', { host: 'fd00::1', port: 7 }],
])('%s is an address', (text, address) => {
  expect(parseTcp(text)).toEqual(address);
});

test.each(['web', ':80', 'web:', 'web:0', 'web:65536', 'fd00::1:7', 'tcp://web:80', ''])('%j is none', (text) => {
  expect(() => parseTcp(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});

test.each(['web', 'ftp://web/', 'file:///etc/passwd', ''])('%j is no web server', (text) => {
  expect(() => parseUrl(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
