/** The end of what place-files.ts has done: taken back, or left as it is. Either may be repeated after a crash. */
import { renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { atPlace, nameOf } from './open-parent.ts';
import { inodeOf, type Placed, placedSoFar, TREE } from './placed-record.ts';

/** The newest first. */
export async function takeBackFiles(stage: string): Promise<void> {
  for (const placed of [...(await placedSoFar(stage)).values()].reverse()) takeBack(stage, placed);
  await rm(stage, { recursive: true, force: true });
}

/** What was put in place stays, and what it replaced is gone for good. */
export async function settleFiles(stage: string): Promise<void> {
  for (const { kept } of (await placedSoFar(stage)).values()) if (kept !== undefined) unlessBlocked(() => remove(kept));
  await rm(stage, { recursive: true, force: true });
}

/** Only what is ours: somebody may have put something else there, and the step may never have been done. */
export function takeBack(stage: string, { path, what, draft, kept, inodes }: Placed): void {
  unlessBlocked(() => {
    if (what === 'directory') return atPlace(path, (there) => rmdirSync(there));
    if (draft !== undefined) remove(draft);
    const found = atPlace(path, inodeOf);
    const isOurs = found !== undefined && [...inodes, inodeOf(join(stage, TREE, path))].includes(found);
    if (kept === undefined) return isOurs ? remove(path) : undefined;
    if (found !== undefined && !isOurs) return remove(kept);
    if (atPlace(kept, inodeOf) !== undefined)
      atPlace(path, (there, directory) => renameSync(directory.at(nameOf(kept)), there));
  });
}

function remove(path: string): void {
  atPlace(path, (there) => {
    if (inodeOf(there) !== undefined) unlinkSync(there);
  });
}

/** A directory in which there are others' files by now stays, and so does what the way to has become another one. */
function unlessBlocked(work: () => void): void {
  try {
    work();
  } catch (error) {
    const code = `${(error as NodeJS.ErrnoException).code}`;
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EBUSY', 'FILE_DIFFERS'].includes(code)) throw error;
  }
}
