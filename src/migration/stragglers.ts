import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dumpingCriu } from '../tools/checkpoint.ts';

const STRAGGLER_PATIENCE_MS = 5000;

/**
 * Waits for CRIU processes which outlived a runc that was killed, and ends them after a while. CRIU lets the tasks go
 * when its peer is gone; thawing them before that would run them under its hands.
 */
export async function endStragglers(stage: string): Promise<void> {
  const deadline = performance.now() + STRAGGLER_PATIENCE_MS;
  for (;;) {
    const pids = await processesAtHome(stage);
    if (pids.length === 0) return;
    if (performance.now() > deadline) kill(pids);
    await sleep(20);
  }
}

function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}

/**
 * CRIU itself by its pid; what it started by its environment or the directory that it works in. CRIU writes its title
 * over its own environment (setproctitle), and is at times in another mount namespace than its directory.
 */
async function processesAtHome(stage: string): Promise<number[]> {
  const criu = dumpingCriu(join(stage, 'bin'));
  const setting = `CRIU_CONFIG_FILE=${join(stage, 'criu.conf')}`;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [environment, directory] = await Promise.all([
        readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ]);
      return pid === criu || environment.split('\0').includes(setting) || directory.startsWith(`${stage}/`);
    }),
  );
  return pids.filter((_, index) => found[index]);
}
