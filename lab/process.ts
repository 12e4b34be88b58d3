/** Processes of the machine, known by what the kernel tells of them. */
import { readdirSync, readFileSync } from 'node:fs';

/** A pid alone may have been given out again; with its start time it names one process. */
export interface ProcessId {
  pid: number;
  /** Clock ticks after boot, as the kernel prints them. */
  startedAt: string;
}

/** Names a running process; undefined where there is none of that pid. */
export function identify(pid: number): ProcessId | undefined {
  const stat = readProc(pid, 'stat');
  // The second field is the program's name in brackets and may hold anything; the 22nd is the start time.
  const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return startedAt === undefined || startedAt === '' ? undefined : { pid, startedAt };
}

export function isAlive(id: ProcessId): boolean {
  return identify(id.pid)?.startedAt === id.startedAt && !readProc(id.pid, 'stat').includes(') Z ');
}

export function thisProcess(): ProcessId {
  const id = identify(process.pid);
  if (id === undefined) throw new Error('/proc is not mounted');
  return id;
}

/** All processes of the machine for which `file` under their /proc directory holds `text`. */
export function processesWith(file: 'environ' | 'mountinfo', text: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && readProc(pid, file).includes(text));
}

export function childrenOf(pid: number): number[] {
  return readProc(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** Empty where the process is gone, which may happen at any time. */
function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
