/** Takes everything back that setup put on this host. */
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { Docker } from '../tools/docker.ts';
import { type AgentDoor, keeperOfThisHost, refuseWhileBusy, removeAgent } from './agent-service.ts';
import { readIfThere } from './atomic-file.ts';
import { containersOfRuntime, unregisterRuntime } from './docker-runtime.ts';
import {
  AGENT_LOG,
  CONFIG_DIRECTORY,
  HOSTS_FILE,
  PROGRAM_DIRECTORY,
  RUN_DIRECTORY,
  RUNTIME_NAME,
  STATE_DIRECTORY,
  WRAPPER,
} from './layout.ts';
import type { SetupOptions } from './setup.ts';

export interface RemoveOptions extends Pick<SetupOptions, 'onEvent' | 'signal'> {
  door: AgentDoor;
  /** Even though containers could not be started again. */
  force: boolean;
  /** The journal and the list of hosts, too. */
  purge: boolean;
}

/** @throws DrayageError HOST_IN_USE, SETUP_BUSY, SETUP_* */
export async function removeFromHost({ door, force, purge, onEvent, signal }: RemoveOptions): Promise<void> {
  const step = (name: string, changed: boolean, detail: string) =>
    onEvent({ type: 'step', step: name, changed, detail });
  await using docker = new Docker();
  await refuseWhileBusy(door);
  if (!force) await refuseInUse(docker, signal);

  step('agent', await removeAgent(keeperOfThisHost()), 'no agent runs');
  step('runtime', await unregisterRuntime(docker, signal), `Docker does not know the runtime "${RUNTIME_NAME}"`);
  step('program', await removeFiles(), 'no files of the program are left');
  const kept = await removeState(purge);
  if (kept.length > 0) {
    onEvent({ type: 'note', message: `Kept: ${kept.join(', ')}. To have them deleted, too, add --purge.` });
  }
}

async function refuseInUse(docker: Docker, signal?: AbortSignal): Promise<void> {
  const names = await containersOfRuntime(docker, signal);
  if (names.length === 0) return;
  throw new DrayageError('HOST_IN_USE', `These containers run by drayage's runtime: ${names.join(', ')}.`);
}

async function removeFiles(): Promise<boolean> {
  const wrapper = await readIfThere(WRAPPER).catch(() => null);
  const ours = wrapper?.includes(`${PROGRAM_DIRECTORY}/drayage.mjs`) ?? false;
  if (ours) await rm(WRAPPER, { force: true });
  const there = (await readdir(PROGRAM_DIRECTORY).catch(() => [])).length > 0;
  await rm(PROGRAM_DIRECTORY, { recursive: true, force: true });
  return there || ours;
}

/** What a user may want later is kept unless `purge`; returns what that was. */
async function removeState(purge: boolean): Promise<string[]> {
  await unmountBelow(RUN_DIRECTORY);
  const kept: string[] = [];
  await rm(RUN_DIRECTORY, { recursive: true, force: true });
  await rm(AGENT_LOG, { force: true });
  for (const [directory, worth] of [
    [STATE_DIRECTORY, (name: string) => name === 'journal'],
    [CONFIG_DIRECTORY, (name: string) => join(CONFIG_DIRECTORY, name) === HOSTS_FILE],
  ] as const) {
    for (const name of await readdir(directory).catch(() => [])) {
      const path = join(directory, name);
      if (purge || !worth(name) || (await isEmptyDirectory(path))) await rm(path, { recursive: true, force: true });
      else kept.push(path);
    }
    await rmdir(directory).catch(() => {}); // Not empty: something is kept.
  }
  return kept;
}

async function isEmptyDirectory(path: string): Promise<boolean> {
  return (await readdir(path).catch(() => ['not a directory'])).length === 0;
}

/** A crash may have left memory images mounted there. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
  const run = runner();
  for (const path of mounts.filter((each) => each.startsWith(`${directory}/`)).reverse()) {
    await run('umount', ['--lazy', path]);
  }
}
