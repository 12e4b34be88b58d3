/** Pure, and small enough for the command line: what a move by restart means, in a sentence. */
import type { Plan } from './plan.ts';

/** Codes of what every restart costs; `--allow-restart` agrees to them. */
export const RESTART_COSTS: readonly string[] = ['MEMORY_LOST', 'CONNECTIONS_LOST', 'TMPFS_LOST'];

export function tellRestart({ restart }: Plan): string {
  const { lost = [], stopMs = 0, outageMs = 0 } = restart ?? {};
  if (outageMs === 0) return 'it does not run, and stays stopped on the target';
  const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`;
  return `it loses ${lost.join(', ')}; it is away for about ${seconds(outageMs - stopMs)} and for as long as it takes to stop, ${seconds(stopMs)} at most`;
}
