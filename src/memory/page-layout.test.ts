import fc from 'fast-check';
import { expect, test } from 'vitest';
import { align, PageLayout } from './page-layout.ts';
import type { PageRun } from './resident.ts';

/** Runs that do not overlap, lowest first. */
const runs = fc
  .array(fc.record({ gap: fc.nat(3), pages: fc.integer({ min: 1, max: 6 }) }), { maxLength: 12 })
  .map((steps) => {
    let page = 0;
    return steps.map(({ gap, pages }) => {
      const run = { page: page + gap, pages };
      page += gap + pages;
      return run;
    });
  });

function pagesOf(all: readonly PageRun[]): number[] {
  return all.flatMap(({ page, pages }) => Array.from({ length: pages }, (_, i) => page + i));
}

test('every page of the dump is met once, in order, with its places in both', () => {
  fc.assert(
    fc.property(runs, runs, (dump, sent) => {
      const layout = new PageLayout();
      for (const run of sent) layout.add(run);
      expect(layout.pages).toBe(pagesOf(sent).length);
      const places = new Map(pagesOf(sent).map((page, at) => [page, at]));
      const met = [...align(dump, layout.runs)].flatMap(({ page, pages, from, to }) =>
        Array.from({ length: pages }, (_, i) => ({
          page: page + i,
          from: from + i,
          to: to === undefined ? to : to + i,
        })),
      );
      expect(met).toEqual(pagesOf(dump).map((page, from) => ({ page, from, to: places.get(page) })));
    }),
  );
});
