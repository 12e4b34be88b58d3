import { homedir } from 'node:os';
import { join } from 'node:path';
import { RUN_DIRECTORY } from '../fleet/layout.ts';

/**
 * Where ssh keeps the sockets of shared sessions: a directory that nobody else can have made, with a short name.
 * @param runtimeDir XDG_RUNTIME_DIR, where set
 */
export function controlDirectory(uid: number | undefined, runtimeDir: string | undefined): string {
  if (uid === 0) return join(RUN_DIRECTORY, 'ssh');
  return runtimeDir === undefined ? join(homedir(), '.ssh', 'drayage') : join(runtimeDir, 'drayage');
}
