/** Which processes belong to a cgroup. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Pids as this process sees them, of the cgroup and all below it; none where the cgroup is gone. */
export async function tasksOf(cgroupPath: string): Promise<number[]> {
  const [own, entries] = await Promise.all([
    readFile(join(cgroupPath, 'cgroup.procs'), 'utf8').catch(orNothing),
    readdir(cgroupPath, { withFileTypes: true }).catch(() => []),
  ]);
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => tasksOf(join(cgroupPath, entry.name)));
  return [...own.split('\n').filter(Boolean).map(Number), ...(await Promise.all(below)).flat()];
}

/** A cgroup that vanished, and one in threaded mode (EOPNOTSUPP), whose processes its parent lists. */
function orNothing(error: NodeJS.ErrnoException): string {
  if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(error.code ?? '')) return '';
  throw error;
}
