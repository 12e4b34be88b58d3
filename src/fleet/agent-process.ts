/** Which process the agent of this host is, and from which program it was started. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { AGENT_FILE } from './layout.ts';

const schema = z.object({
  pid: z.number().int().positive(),
  /** Clock ticks after boot at which it started: a pid alone may have been given to another process since. */
  started: z.string(),
  version: z.string(),
  /** SHA-256 of the main.mjs that it runs. */
  build: z.string(),
});
export type AgentProcess = z.infer<typeof schema>;

/** Called by the agent about itself when it starts. */
export async function recordAgent(about: Pick<AgentProcess, 'version' | 'build'>, file = AGENT_FILE): Promise<void> {
  const started = await startOf(process.pid);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, JSON.stringify({ pid: process.pid, started, ...about }), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Called by the agent about itself when it ends. */
export async function forgetAgent(file = AGENT_FILE): Promise<void> {
  if ((await runningAgent(file))?.pid === process.pid) await rm(file, { force: true });
}

/** null where none runs. */
export async function runningAgent(file = AGENT_FILE): Promise<AgentProcess | null> {
  try {
    const agent = schema.parse(JSON.parse(await readFile(file, 'utf8')));
    return (await startOf(agent.pid)) === agent.started ? agent : null;
  } catch {
    return null; // Not there, or left by a crash: either way nothing says that one runs.
  }
}

/** Asks the agent to end, and waits until it has; kills it after `graceMs`. */
export async function stopAgent(agent: AgentProcess, graceMs = 20_000): Promise<void> {
  signal(agent.pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  while ((await startOf(agent.pid)) === agent.started) {
    if (performance.now() > deadline) signal(agent.pid, 'SIGKILL');
    await sleep(20);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** Field 22 of /proc/PID/stat; the empty string where there is no such process, or only its remains. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}
