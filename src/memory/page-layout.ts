/** Which pages of a process the target has, and where: in which order they are in its pages image. */
import type { PageRun } from './resident.ts';

/** A run of pages, and the place of the first among all. */
export interface PlacedRun extends PageRun {
  at: number;
}

/** More would take tens of megabytes for a process whose memory is that scattered; its other pages go the plain way. */
const MAX_RUNS = 1 << 19;

export class PageLayout {
  readonly runs: PlacedRun[] = [];
  /** How many pages there are. */
  pages = 0;

  /** Whether there is still room for a run, which must begin above all that are there. */
  add({ page, pages }: PageRun): boolean {
    const last = this.runs.at(-1);
    if (last !== undefined && last.page + last.pages === page) last.pages += pages;
    else if (this.runs.length === MAX_RUNS) return false;
    else this.runs.push({ page, pages, at: this.pages });
    this.pages += pages;
    return true;
  }
}

/** A stretch of the dump: `from` its place there; `to` its place in the layout, undefined where that lacks it. */
export interface Stretch extends PageRun {
  from: number;
  to: number | undefined;
}

/** Lays the runs of a dump beside a layout, and cuts them where one of the two begins or ends. Both lowest first. */
export function* align(dump: Iterable<PageRun>, layout: readonly PlacedRun[]): Generator<Stretch> {
  let from = 0;
  let index = 0;
  for (const run of dump) {
    const end = run.page + run.pages;
    for (let page = run.page; page < end; ) {
      while (index < layout.length && endOf(layout[index] as PlacedRun) <= page) index++;
      const placed = layout[index];
      const inLayout = placed !== undefined && placed.page <= page;
      const until = Math.min(end, inLayout ? endOf(placed) : (placed?.page ?? end));
      yield { page, pages: until - page, from, to: inLayout ? placed.at + page - placed.page : undefined };
      from += until - page;
      page = until;
    }
  }
}

function endOf({ page, pages }: PageRun): number {
  return page + pages;
}
