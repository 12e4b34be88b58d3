/**
 * What a lab host's containers have of the machine's cgroups: the trees are shared by all, the ids are the host's own.
 */
import { readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { poll } from './poll.ts';

/** Names of the cgroups of all containers that a host's engines know; they keep one directory per container. */
export async function cgroupsOf(hostDirectory: string): Promise<string[]> {
  const found = ENGINES.map(async ({ containers, cgroup }) => {
    const ids = await readdir(join(hostDirectory, containers)).catch(() => []);
    return ids.filter((id) => /^[0-9a-f]{64}$/.test(id)).map((id) => `${cgroup}${id}`);
  });
  return (await Promise.all(found)).flat();
}

/** Where an engine's data, as seen from the host's directory, tells its containers, and how it names their cgroups. */
const ENGINES = [
  { containers: 'docker/containers', cgroup: 'docker/' },
  { containers: 'containers/storage/overlay-containers', cgroup: 'libpod_parent/libpod-' },
  { containers: 'containers/storage/vfs-containers', cgroup: 'libpod_parent/libpod-' },
];

/** Lets frozen processes go on: one that is frozen does not die, and its host's init waits for it. */
export async function thaw(cgroups: readonly string[]): Promise<void> {
  for (const cgroup of cgroups) {
    // The first file is that of cgroup v1, the other that of v2; r+ does not make a file where there is none.
    await writeFile(join(CGROUPS, 'freezer', cgroup, 'freezer.state'), 'THAWED', { flag: 'r+' }).catch(() => {});
    await writeFile(join(CGROUPS, cgroup, 'cgroup.freeze'), '0', { flag: 'r+' }).catch(() => {});
  }
}

/** A killed container leaves its directory in every cgroup tree; the trees are the machine's, the ids the lab's. */
export async function removeCgroups(cgroups: readonly string[]): Promise<void> {
  const trees = ['.', ...(await readdir(CGROUPS))];
  const places = cgroups.flatMap((cgroup) => trees.map((tree) => join(CGROUPS, tree, cgroup)));
  await Promise.all(places.map(removeTree));
}

/** A cgroup is removed from its leaves up, by rmdir; the files in it are the kernel's. */
async function removeTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  // Busy for a moment after the last process in it was killed.
  const remove = () =>
    rmdir(directory).then(
      () => true,
      () => undefined,
    );
  await poll(remove, { everyMs: 20, timeoutMs: 5000 });
}

const CGROUPS = '/sys/fs/cgroup';
