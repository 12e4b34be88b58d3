import fc from 'fast-check';
import { expect, test } from 'vitest';
import { summarize } from '../../bench/statistics.ts';

test('median and 90th percentile by nearest rank', () => {
  expect(summarize([3, 1, 2])).toEqual({ median: 2, p90: 3, min: 1, max: 3 });
  expect(summarize([10, 1, 2, 3, 4, 5, 6, 7, 8, 9])).toEqual({ median: 5.5, p90: 9, min: 1, max: 10 });
  expect(summarize([1.26])).toEqual({ median: 1.3, p90: 1.3, min: 1.3, max: 1.3 });
});

test('the order of the values does not matter, and the figures are between the extremes', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000), { minLength: 1 }), (values) => {
      const summary = summarize(values);
      expect(summarize([...values].reverse())).toEqual(summary);
      expect(summary.min).toBeLessThanOrEqual(summary.median);
      expect(summary.median).toBeLessThanOrEqual(summary.max);
      expect(summary.p90).toBeLessThanOrEqual(summary.max);
    }),
  );
});
