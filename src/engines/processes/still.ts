/** A freeze that CRIU can begin with: nothing of the workload is on its way anywhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { freeze, Patience, thaw } from '../freezer.ts';
import { stateOf } from './state.ts';
import { tasksOf } from './tasks.ts';

/** Many times what it takes, and what a busy host may need for it. */
const STILL_MS = 1000;
/** For a program to be executed. */
const AWHILE_MS = 2;
/** Where one waits for its child to do so: vfork(2), as kernels call it in /proc/P/wchan. */
const IN_VFORK = /^(?:kernel_clone|wait_for_vfork_done|_?do_fork)$/;

/**
 * Freezes all tasks of the cgroup, and returns when all stand where CRIU can stop them: else it waits for ten seconds, and
 * fails (criu/seize.c, freezer_wait_processes).
 * - One that was about to end ends all the same, and a busy host may let it wait in between.
 * - One that waits for its child to execute a program stands still in the kernel, where nothing can stop it before the
 *   child has. They are let go on for a moment. (A shell that starts a program ten times a second: one freeze in 50.)
 * @throws DrayageError as `freeze`
 */
export async function freezeStill(cgroupPath: string): Promise<void> {
  const deadline = performance.now() + STILL_MS;
  const patience = new Patience();
  await freeze(cgroupPath);
  while (performance.now() < deadline) {
    const pids = await tasksOf(cgroupPath);
    if (pids.some((pid) => stateOf(pid) === 'R')) {
      await patience.turn();
      continue;
    }
    if (!pids.some(isInVfork)) return;
    thaw(cgroupPath);
    await sleep(AWHILE_MS);
    await freeze(cgroupPath);
  }
}

/** Of its threads, any. */
function isInVfork(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.some((thread) => IN_VFORK.test(readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8')));
  } catch {
    return false;
  }
}
