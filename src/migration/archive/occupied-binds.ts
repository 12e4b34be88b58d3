/** What an import would delete at the paths that its container's binds have here. */
import { readdir } from 'node:fs/promises';
import { isTree } from '../../engines/facts.ts';
import { carriedTrees } from '../plan.ts';
import type { Manifest } from './manifest.ts';

/** Paths of carried binds where there is something on this host: a file, or a directory that is not empty. */
export async function occupiedBinds({ workload, options }: Manifest): Promise<string[]> {
  if (isTree(workload)) return [];
  const binds = carriedTrees(workload.files, options).filter(({ kind }) => kind === 'bind');
  const occupied = await Promise.all(binds.map(async ({ path }) => ((await isOccupied(path)) ? [path] : [])));
  return occupied.flat();
}

async function isOccupied(path: string): Promise<boolean> {
  return readdir(path).then(
    (names) => names.length > 0,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT',
  );
}
