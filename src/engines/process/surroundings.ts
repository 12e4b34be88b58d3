/** What a host has of a tree of processes that is to come, and what is in its way. */
import { existsSync } from 'node:fs';
import { findProgram } from '../../tools/find-program.ts';
import type { TreeQuestion, TreeSurroundings } from '../facts.ts';
import { compareFiles } from './compare-files.ts';
import { limitable } from './limits.ts';

export async function surveySurroundings(
  { files, taskIds, terminal }: TreeQuestion,
  signal: AbortSignal,
): Promise<Omit<TreeSurroundings, 'relayed'>> {
  const missing = terminal && (await findProgram('script')) === undefined ? ['script'] : [];
  return {
    files: await compareFiles(files, signal),
    // A thread's number is no directory of /proc's own listing, but it is taken all the same.
    takenPids: taskIds.filter((id) => existsSync(`/proc/${id}`)),
    missingPrograms: missing,
    limitable: await limitable(),
  };
}
