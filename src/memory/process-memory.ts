/** The memory of a running process, as /proc shows it. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { PAGE } from './page-hash/page-hasher.ts';
import { type PageRun, privateRegions, residentRuns } from './resident.ts';

export interface ProcessMemory {
  /** In its own namespace, as CRIU knows it. */
  pid: number;
  /** Its private pages, lowest first, in runs of at most so many. */
  resident(most: number): Iterable<PageRun>;
  /** @returns how many whole pages could be read, from the first one on. */
  read(run: PageRun, into: Buffer): number;
  close(): void;
}

/** Undefined where it has ended, or its memory is not to be seen: what cannot be sent now goes in the freeze. */
export function openProcess(hostPid: number): ProcessMemory | undefined {
  if (pageSize(readFileSync('/proc/self/auxv')) !== PAGE) return undefined;
  const fds: number[] = [];
  const open = (name: string) => {
    const fd = openSync(`/proc/${hostPid}/${name}`, 'r');
    fds.push(fd);
    return fd;
  };
  const close = () => {
    for (const fd of fds) closeSync(fd);
  };
  try {
    const pid = innermostPid(readFileSync(`/proc/${hostPid}/status`, 'utf8'));
    const regions = privateRegions(readFileSync(`/proc/${hostPid}/maps`, 'utf8'));
    const [memory, pagemap] = [open('mem'), open('pagemap')];
    return {
      pid,
      resident: (most) => residentRuns(pagemap, regions, most),
      read: (run, into) => readPages(memory, run, into),
      close,
    };
  } catch {
    close();
    return undefined;
  }
}

/** @throws Error where /proc/PID/status does not tell it */
export function innermostPid(status: string): number {
  const pid = /^NSpid:.*?(\d+)$/m.exec(status)?.[1];
  if (pid === undefined) throw new Error('no NSpid in /proc/PID/status');
  return Number(pid);
}

function readPages(fd: number, { page, pages }: PageRun, into: Buffer): number {
  try {
    return Math.floor(readSync(fd, into, 0, pages * PAGE, page * PAGE) / PAGE);
  } catch {
    return 0; // Unmapped meanwhile, or the process has ended.
  }
}

/** Of this kernel's pages, in bytes, from /proc/PID/auxv; undefined where it does not tell. */
export function pageSize(auxv: Buffer): number | undefined {
  const AT_PAGESZ = 6n;
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (auxv.readBigUInt64LE(at) === AT_PAGESZ) return Number(auxv.readBigUInt64LE(at + 8));
  }
  return undefined;
}
