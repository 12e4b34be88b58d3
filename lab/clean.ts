/** Takes away everything of a lab but what all labs share. Works from what the kernel knows, so also after a crash. */
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../src/exec/run.ts';
import { uplinkName } from './address.ts';
import { LAB_VARIABLE } from './boot.ts';
import { removeMachineTables } from './network.ts';
import { poll } from './poll.ts';
import { processesWith } from './process.ts';
import { type LabState, labDirectory } from './state.ts';

/** @param state undefined where it was lost. */
export async function cleanLab(run: Run, store: string, name: string, state: LabState | undefined): Promise<void> {
  const directory = labDirectory(store, name);
  const cgroups = await cgroupsOf(directory);
  await endProcesses(directory);
  // Mounts, interfaces and tables of the hosts end with their namespaces; the one interface here is not waited for.
  if (state !== undefined) await run('ip', ['link', 'delete', uplinkName(state.k)], { okCodes: [0, 1] });
  await removeMachineTables(run);
  await removeCgroups(cgroups);
  await discard(store, directory);
}

/** Moved away first, so that a new lab of the same name cannot meet a half-removed one. */
async function discard(store: string, directory: string): Promise<void> {
  const trash = join(store, 'trash');
  await mkdir(trash, { recursive: true });
  await rename(directory, join(trash, `${Date.now()}-${process.pid}`)).catch(ignoreMissing);
  // Takes along what a killed process left there, or another removes at this moment.
  await rm(trash, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
}

/** Names of the cgroups of all containers that the lab's engines know; they keep one directory per container. */
async function cgroupsOf(directory: string): Promise<string[]> {
  const hosts = await readdir(directory).catch(() => []);
  const found = hosts.flatMap((host) =>
    ENGINES.map(async ({ containers, cgroup }) => {
      const ids = await readdir(join(directory, host, containers)).catch(() => []);
      return ids.filter((id) => /^[0-9a-f]{64}$/.test(id)).map((id) => `${cgroup}${id}`);
    }),
  );
  return (await Promise.all(found)).flat();
}

/** Where an engine's data, as seen from the host's directory, tells its containers, and how it names their cgroups. */
const ENGINES = [
  { containers: 'docker/containers', cgroup: 'docker/' },
  { containers: 'containers/storage/overlay-containers', cgroup: 'libpod_parent/libpod-' },
  { containers: 'containers/storage/vfs-containers', cgroup: 'libpod_parent/libpod-' },
];

/** Kills the holders of namespaces, with which all in them ends, and whoever has entered them from outside. */
async function endProcesses(directory: string): Promise<void> {
  const left = () => [
    ...processesWith('environ', `${LAB_VARIABLE}=${directory}\0`),
    ...processesWith('mountinfo', `upperdir=${directory}/`),
  ];
  await poll(
    () => {
      const pids = left();
      for (const pid of pids) kill(pid);
      return pids.length === 0 ? true : undefined;
    },
    { everyMs: 20, timeoutMs: 20_000 },
  );
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** A killed container leaves its directory in every cgroup tree; the trees are the machine's, the ids the lab's. */
async function removeCgroups(cgroups: readonly string[]): Promise<void> {
  const root = '/sys/fs/cgroup';
  const trees = ['.', ...(await readdir(root))];
  for (const cgroup of cgroups) {
    for (const tree of trees) await removeTree(join(root, tree, cgroup));
  }
}

/** A cgroup is removed from its leaves up, by rmdir; the files in it are the kernel's. */
async function removeTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  // Busy for a moment after the last process in it was killed.
  await poll(
    () =>
      rmdir(directory).then(
        () => true,
        () => undefined,
      ),
    { everyMs: 20, timeoutMs: 5000 },
  );
}
