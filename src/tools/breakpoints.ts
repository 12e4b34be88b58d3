/**
 * The first hardware breakpoint on a host makes the kernel wait for a grace period of RCU, 8 to 20 ms (kernel/events/
 * core.c, account_event), and CRIU sets one in every process that it dumps or restores. For a second after one was in
 * use there is no such wait: so before a freeze something is dumped that is nobody's.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Run, start } from '../exec/run.ts';

/** Many times what it takes. */
const LIMIT_MS = 2000;

/**
 * Resolves after some 30 ms; breakpoints are set at once during the second that follows. Where it fails nothing is lost
 * but that.
 * @param dir images are there meanwhile; must exist
 */
export async function readyBreakpoints({
  run,
  criuPath,
  dir,
}: {
  run: Run;
  criuPath: string;
  dir: string;
}): Promise<void> {
  const images = join(dir, 'breakpoints');
  const nobodys = start('sleep', [`${LIMIT_MS / 1000}`]);
  try {
    await mkdir(images, { mode: 0o700 });
    // Left to run: by the time that CRIU looks, the number might be another process's.
    const how = ['--images-dir', images, '--log-file', 'dump.log', '--leave-running', '--shell-job'];
    await run(criuPath, ['dump', '--tree', `${nobodys.pid}`, ...how, '--manage-cgroups=ignore'], {
      timeoutMs: LIMIT_MS,
    });
  } catch {
  } finally {
    nobodys.kill('SIGKILL');
    await rm(images, { recursive: true, force: true });
  }
}
