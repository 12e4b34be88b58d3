/** Takes away everything of a lab but what all labs share. Works from what the kernel knows, so also after a crash. */
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import type { Run } from '../src/exec/run.ts';
import { uplinkName } from './address.ts';
import { LAB_VARIABLE } from './boot.ts';
import { cgroupsOf, removeCgroups, thaw } from './cgroups.ts';
import { removeMachineTables } from './network.ts';
import { poll } from './poll.ts';
import { processesWith } from './process.ts';
import { type LabState, labDirectory } from './state.ts';

/** @param state undefined where it was lost. */
export async function cleanLab(run: Run, store: string, name: string, state: LabState | undefined): Promise<void> {
  const directory = labDirectory(store, name);
  const hosts = await readdir(directory).catch(() => []);
  const cgroups = (await Promise.all(hosts.map((host) => cgroupsOf(join(directory, host))))).flat();
  await endProcesses(directory, cgroups);
  // Mounts, interfaces and tables of the hosts end with their namespaces; the one interface here is not waited for.
  if (state !== undefined) await run('ip', ['link', 'delete', uplinkName(state.k)], { okCodes: [0, 1] });
  await removeMachineTables(run);
  await removeCgroups(cgroups);
  await discard(store, directory);
}

/** Moved away first, so that a new lab of the same name cannot meet a half-removed one. */
async function discard(store: string, directory: string): Promise<void> {
  await rename(directory, join(store, `${TRASH}${process.pid}-${Date.now()}`)).catch(ignoreMissing);
  // Takes along what a killed process left there; another may do the same at this moment.
  const trash = (await readdir(store)).filter((name) => name.startsWith(TRASH));
  for (const name of trash) {
    await rm(join(store, name), { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }).catch(ignoreMissing);
  }
}

const TRASH = 'trash-';

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
}

/** Kills the holders of namespaces, with which all in them ends, and whoever has entered them from outside. */
async function endProcesses(directory: string, cgroups: readonly string[]): Promise<void> {
  const left = () => [
    ...processesWith('environ', `${LAB_VARIABLE}=${directory}\0`),
    ...processesWith('mountinfo', `upperdir=${directory}/`),
  ];
  const ended = await poll(
    async () => {
      const pids = left();
      for (const pid of pids) kill(pid);
      // Only now, so that none of them runs again.
      await thaw(cgroups);
      return pids.length === 0 ? true : undefined;
    },
    { everyMs: 20, timeoutMs: 20_000 },
  );
  if (ended === undefined) {
    const meaning = 'What is left of the lab is kept, so that it can be removed later.';
    const remedy = 'Find out what these processes wait for, then take the lab down again.';
    throw new DrayageError('LAB_BUSY', `Processes ${left().join(', ')} do not end.`, { meaning, remedy });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
