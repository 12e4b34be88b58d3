/** Freezes and thaws the processes of a workload by its cgroup, version 1 or 2. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';

const TIMEOUT_MS = 5000;
const SHORT_TURNS = 100;

/**
 * Freezes all tasks of the cgroup and returns when none of them runs any more.
 * @throws DrayageError FREEZE_FAILED where a task does not freeze in five seconds (one in uninterruptible sleep, say);
 * the cgroup is thawed again then.
 */
export async function freeze(cgroupPath: string): Promise<void> {
  const v1 = isVersion1(cgroupPath);
  const deadline = performance.now() + TIMEOUT_MS;
  const patience = new Patience();
  write(cgroupPath, v1 ? 'FROZEN' : '1');
  while (!isFrozen(cgroupPath)) {
    if (performance.now() > deadline) {
      thaw(cgroupPath);
      throw new DrayageError(
        'FREEZE_FAILED',
        `The processes of the workload did not freeze within ${TIMEOUT_MS / 1000} s.`,
      );
    }
    // A v1 freezer may miss a task that forks meanwhile; writing again makes it look again.
    if (v1) write(cgroupPath, 'FROZEN');
    await patience.turn();
  }
}

/** For what takes a fraction of a millisecond as a rule, and a timer as long as two. */
export class Patience {
  #turns = 0;

  async turn(): Promise<void> {
    await (++this.#turns < SHORT_TURNS ? breathe() : sleep(1));
  }
}

/** Lets the tasks run again. Nothing happens where the cgroup is gone or is not frozen. */
export function thaw(cgroupPath: string): void {
  if (existsSync(stateFile(cgroupPath))) write(cgroupPath, isVersion1(cgroupPath) ? 'THAWED' : '0');
}

/** Whether every task of the cgroup is frozen; false where the cgroup is gone. */
export function isFrozen(cgroupPath: string): boolean {
  if (!existsSync(stateFile(cgroupPath))) return false;
  if (isVersion1(cgroupPath)) return readFileSync(join(cgroupPath, 'freezer.state'), 'utf8').trim() === 'FROZEN';
  return /^frozen 1$/m.test(readFileSync(join(cgroupPath, 'cgroup.events'), 'utf8'));
}

function isVersion1(cgroupPath: string): boolean {
  return existsSync(join(cgroupPath, 'freezer.state'));
}

function stateFile(cgroupPath: string): string {
  return join(cgroupPath, isVersion1(cgroupPath) ? 'freezer.state' : 'cgroup.freeze');
}

function write(cgroupPath: string, value: string): void {
  writeFileSync(stateFile(cgroupPath), value);
}
