/** drayage's runtime in Docker's configuration: put there and taken away, without a restart of the daemon. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import { readIfThere, writeAtomically } from './atomic-file.ts';
import { withoutRuntime, withRuntime } from './daemon-json.ts';
import { DEFAULT_CONFIG_FILE, type Dockerd, findDockerd } from './dockerd.ts';
import { RUNTIME_NAME, SHIM } from './layout.ts';

/** How long a daemon may take to read its configuration again. */
const RELOAD_MS = 15_000;

/**
 * True if anything had to be done. What the file held before is kept beside it.
 * @throws DrayageError SETUP_DAEMON_JSON, SETUP_DOCKERD, SETUP_RELOAD (the file is then as it was before).
 */
export async function registerRuntime(docker: Docker, signal?: AbortSignal): Promise<boolean> {
  const dockerd = await findDockerd();
  const text = await readIfThere(dockerd.configFile);
  const next = withRuntime(text, dockerd.configFile);
  if (next === null && (await registeredPath(docker, signal)) === SHIM) return false;
  if (next !== null) {
    await mkdir(dirname(dockerd.configFile), { recursive: true });
    const backup = backupOf(dockerd.configFile);
    if (text !== null && (await readIfThere(backup)) === null) await writeAtomically(backup, text);
    await writeAtomically(dockerd.configFile, next);
  }
  reload(dockerd);
  if (await reaches(docker, SHIM, signal)) return true;
  if (next !== null) {
    await putBack(dockerd.configFile, text);
    reload(dockerd);
  }
  throw new DrayageError('SETUP_RELOAD', `Docker does not know the runtime "${RUNTIME_NAME}" after a reload.`);
}

/** True if anything had to be done. A daemon that does not run will read the file when it starts. */
export async function unregisterRuntime(docker: Docker, signal?: AbortSignal): Promise<boolean> {
  const dockerd = await findDockerd().catch(() => null);
  const file = dockerd?.configFile ?? DEFAULT_CONFIG_FILE;
  const removal = withoutRuntime(await readIfThere(file), await readIfThere(backupOf(file)), file);
  if (removal !== null) {
    if (dockerd !== null) {
      await writeAtomically(file, removal.reload);
      reload(dockerd);
    }
    const gone = dockerd === null || (await reaches(docker, undefined, signal));
    await putBack(file, removal.final);
    if (!gone)
      throw new DrayageError('SETUP_RELOAD', `Docker still knows the runtime "${RUNTIME_NAME}" after a reload.`);
  }
  await rm(backupOf(file), { force: true });
  return removal !== null;
}

/** Names of containers that run by drayage's runtime, stopped ones too. */
export async function containersOfRuntime(docker: Docker, signal?: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  for (const { Id } of await docker.containers({ signal })) {
    try {
      const { HostConfig, Name } = await docker.inspect(Id, { signal });
      if (HostConfig.Runtime === RUNTIME_NAME) names.push(Name.replace(/^\//, ''));
    } catch (error) {
      if (!isNotFound(error)) throw error; // Gone in the meantime.
    }
  }
  return names;
}

function backupOf(configFile: string): string {
  return `${configFile}.before-drayage`;
}

function reload({ pid }: Dockerd): void {
  process.kill(pid, 'SIGHUP');
}

/** The file as it is to stay; null for none. */
async function putBack(configFile: string, text: string | null): Promise<void> {
  if (text !== null) return writeAtomically(configFile, text);
  await rm(configFile, { force: true });
}

async function reaches(docker: Docker, path: string | undefined, signal?: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + RELOAD_MS;
  while (performance.now() < deadline) {
    if ((await registeredPath(docker, signal)) === path) return true;
    await sleep(50, undefined, { signal });
  }
  return false;
}

async function registeredPath(docker: Docker, signal?: AbortSignal): Promise<string | undefined> {
  const info = await docker.info({ signal });
  return info.Runtimes[RUNTIME_NAME]?.path;
}
