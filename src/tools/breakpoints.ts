/**
 * The first hardware breakpoint on a host makes the kernel wait for a grace period of RCU, 8 to 20 ms (kernel/events/
 * core.c, account_event), and CRIU sets one in every process that it dumps or restores. For a second after one was in
 * use there is no such wait: so before a freeze something is dumped that is nobody's.
 */
import { closeSync, openSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Run, startDetached } from '../exec/run.ts';

/** Many times what it takes. */
const LIMIT_MS = 2000;
/** Longer than that: by its number nobody else is meant. */
const LIFE_SECONDS = 60;

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
  const nobodys = startNobodys();
  if (nobodys === undefined) return;
  try {
    await mkdir(images, { mode: 0o700 });
    const how = ['--images-dir', images, '--log-file', 'dump.log', '--leave-running', '--manage-cgroups=ignore'];
    await run(criuPath, ['dump', '--tree', `${nobodys}`, ...how], { timeoutMs: LIMIT_MS });
  } catch {
  } finally {
    endNobodys(nobodys);
    await rm(images, { recursive: true, force: true }).catch(() => {});
  }
}

/** Without a pipe or socket of the agent's, which CRIU would not dump one end of. */
function startNobodys(): number | undefined {
  const nowhere = openSync('/dev/null', 'w');
  try {
    return startDetached('sleep', [`${LIFE_SECONDS}`], nowhere);
  } finally {
    closeSync(nowhere);
  }
}

function endNobodys(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {}
}
