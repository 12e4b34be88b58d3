/** The processes of a container as the kernel has them, also where its engine does not know of them. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Host pids of everything in the container's cgroup: its tasks, and CRIU while it restores them. Engines name that
 * cgroup after the container's full id, `/docker/ID` or `docker-ID.scope`.
 */
export async function containerProcesses(containerId: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const inside = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')).includes(containerId)),
  );
  return pids.filter((_, index) => inside[index]).map(Number);
}

/**
 * Kills them and resolves when none is left, so that nothing of the container runs any more. One that is frozen stays:
 * its SIGKILL takes effect when it is thawed, before it runs anything else.
 */
export async function killContainerProcesses(containerId: string): Promise<void> {
  for (let patience = 500; patience > 0; patience--) {
    const pids = await containerProcesses(containerId);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already.
      }
    }
    await sleep(10);
  }
  throw new Error(`processes of container ${containerId} cannot be killed`);
}
