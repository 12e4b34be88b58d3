/** How much memory a dump will hold. */
import { readFile, statfs } from 'node:fs/promises';
import { type Mount, parseSharedShare } from '../../tools/proc.ts';
import { isGone, type Look } from './look.ts';

/** Below that the walk through the page tables (smaps_rollup) is not worth its time. */
const SHARED_WORTH_ASKING = 4 << 20;

/**
 * Anonymous memory and swap of every process as CRIU dumps it, that is once for each that has it, even where fork
 * shares it; shared memory once for all. In bytes, and rather too much: what is mapped of a tmpfs counts with the
 * tmpfs, too.
 */
export async function memoryOf(proc: string, look: Look): Promise<number> {
  const { pid, anonBytes, shmemBytes, swapBytes } = look.status;
  if (shmemBytes < SHARED_WORTH_ASKING) return anonBytes + swapBytes + shmemBytes;
  return anonBytes + swapBytes + (await sharedShare(proc, pid));
}

/** Content of the tmpfs mounts that the workload has for itself: they go into the images. */
export async function tmpfsContent(
  proc: string,
  initPid: number,
  mounts: readonly Mount[],
  hostMounts: readonly Mount[],
): Promise<number> {
  // One that the host has mounted too was bound into the workload from outside: CRIU leaves it there.
  const outside = new Set(hostMounts.map(({ device }) => device));
  const own = mounts.filter(({ type, root, device }) => type === 'tmpfs' && root === '/' && !outside.has(device));
  const sizes = own.map(async ({ path }) => {
    const { blocks, bfree, bsize } = await statfs(`${proc}/${initPid}/root${path}`).catch(() => EMPTY);
    return (blocks - bfree) * bsize;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const EMPTY = { blocks: 0, bfree: 0, bsize: 0 };

async function sharedShare(proc: string, pid: number): Promise<number> {
  try {
    return parseSharedShare(await readFile(`${proc}/${pid}/smaps_rollup`, 'utf8'));
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}
