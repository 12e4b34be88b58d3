/** Which pages of a process hold private memory, as /proc/PID/maps and /proc/PID/pagemap tell. */
import { readSync } from 'node:fs';
import { PAGE } from './page-hash/page-hasher.ts';

/** Pages that follow each other; `page` is the number of the first, its address by 4096. */
export interface PageRun {
  page: number;
  pages: number;
}

/** Reserved address space beyond this is not looked at: its page table alone would take seconds to read. */
const MAX_REGION_PAGES = 2 ** 36 / PAGE;
/** So many reads of the page table without a page to tell of, and the caller gets a run of none: to let others have their turn. */
const READS_PER_TURN = 64;
/** The kernel's own pages in a process. */
const SPECIAL = /\[(?:vdso|vvar.*|vsyscall)\]$/;
const LINE = /^([0-9a-f]+)-([0-9a-f]+) ...(p) /;

/** The private mappings, lowest first. */
export function privateRegions(maps: string): PageRun[] {
  const regions: PageRun[] = [];
  for (const line of maps.split('\n')) {
    const match = LINE.exec(line);
    if (match === null || SPECIAL.test(line)) continue;
    const [start, end] = [pageNumber(match[1] as string), pageNumber(match[2] as string)];
    if (end - start <= MAX_REGION_PAGES) regions.push({ page: start, pages: end - start });
  }
  return regions;
}

/** Runs of pages that are there (in memory or swapped out) and not of a file, lowest first, each of at most `most`; now and then one of no page. */
export function* residentRuns(pagemapFd: number, regions: readonly PageRun[], most: number): Generator<PageRun> {
  const entries = Buffer.allocUnsafe(64 << 10);
  let run: PageRun | undefined;
  let reads = 0;
  for (const region of regions) {
    for (let done = 0; done < region.pages; ) {
      const want = Math.min(entries.length, (region.pages - done) * ENTRY);
      // Beyond 2^53 no process has an address: page numbers times 8 are exact.
      const got = readSync(pagemapFd, entries, 0, want, (region.page + done) * ENTRY);
      if (got < ENTRY) return; // The process has ended.
      if (++reads % READS_PER_TURN === 0) yield { page: region.page + done, pages: 0 };
      for (let i = 0; i + ENTRY <= got; i += ENTRY, done++) {
        const page = region.page + done;
        if (!isPrivatePage(entries.readUInt32LE(i + 4))) continue;
        if (run !== undefined && run.page + run.pages === page && run.pages < most) {
          run.pages++;
          continue;
        }
        if (run !== undefined) yield run;
        run = { page, pages: 1 };
      }
    }
  }
  if (run !== undefined) yield run;
}

const ENTRY = 8;

/** From the upper half of an entry: bit 63 present, 62 swapped out, 61 of a file or shared (kernel's pagemap.rst). */
function isPrivatePage(upper: number): boolean {
  return (upper & 0xc0000000) !== 0 && (upper & 0x20000000) === 0;
}

function pageNumber(address: string): number {
  return Number.parseInt(address.slice(0, -3) || '0', 16);
}
