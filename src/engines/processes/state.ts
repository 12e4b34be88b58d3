/** Whether a process runs, waits or has ended, as the kernel says at this moment. */
import { readFileSync } from 'node:fs';
import { parseStat } from '../../tools/proc.ts';

/** `R`, `S`, `D`, `T`, and Z also where it has been waited for. */
export function stateOf(pid: number): string {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).state;
  } catch {
    return 'Z';
  }
}

/** Also where nobody has waited for it yet. */
export function hasEnded(pid: number): boolean {
  return /[ZX]/.test(stateOf(pid));
}
