import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const STRAGGLER_PATIENCE_MS = 5000;

/**
 * Waits for CRIU processes which outlived a runc that was killed, and ends them after a while. CRIU lets the tasks go
 * when its peer is gone; thawing them before that would run them under its hands.
 */
export async function endStragglers(criuConfig: string): Promise<void> {
  const deadline = performance.now() + STRAGGLER_PATIENCE_MS;
  for (;;) {
    const pids = await processesWithEnvironment(`CRIU_CONFIG_FILE=${criuConfig}`);
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

async function processesWithEnvironment(setting: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environment.split('\0').includes(setting);
    }),
  );
  return pids.filter((_, index) => found[index]);
}
