/** Processes of the machine, known by what the kernel tells of them. */
import { readdirSync, readFileSync } from 'node:fs';

/** A pid alone may have been given out again; with its start time it names one process. */
export interface ProcessId {
  pid: number;
  /** Clock ticks after boot, as the kernel prints them. */
  startedAt: string;
}

/** Names a process; undefined where there is none of that pid. */
export function identify(pid: number): ProcessId | undefined {
  const startedAt = statOf(pid)[START_TIME];
  return startedAt === undefined ? undefined : { pid, startedAt };
}

/** False also of a process that is ending: an init does so for as long as others of its namespace are frozen. */
export function isAlive({ pid, startedAt }: ProcessId): boolean {
  const stat = statOf(pid);
  return stat[START_TIME] === startedAt && (Number(stat[FLAGS]) & PF_EXITING) === 0;
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

/** The fields of /proc/PID/stat after the program's name, which is in brackets and may hold anything. */
function statOf(pid: number): string[] {
  const stat = readProc(pid, 'stat');
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

const FLAGS = 6;
const START_TIME = 19;
const PF_EXITING = 4;

/** Empty where the process is gone, which may happen at any time. */
function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
