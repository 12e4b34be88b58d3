/**
 * Guards: a file for every container that is the unfinished copy of a workload. The runtime shim refuses to start a
 * guarded container except as a restore, so that neither a user nor a restart policy can run it beside its original.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** As in shim/drayage-runc. */
const GUARD_DIR = '/var/lib/drayage/guard';

export async function placeGuard(containerId: string, migrationId: string): Promise<void> {
  await mkdir(GUARD_DIR, { recursive: true, mode: 0o700 });
  await writeFile(join(GUARD_DIR, containerId), `${migrationId}\n`, { mode: 0o600 });
}

/** Whether it is such a copy. */
export function isGuarded(containerId: string): boolean {
  return existsSync(join(GUARD_DIR, containerId));
}

export async function removeGuard(containerId: string): Promise<void> {
  await rm(join(GUARD_DIR, containerId), { force: true });
}
