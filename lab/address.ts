/** Which addresses and interface names a lab has: lab k is 10.77.k.0/24, host n of it .n, the machine itself .254. */
import { createHash } from 'node:crypto';
import { DrayageError } from '../src/errors.ts';

const LABS = 254;
const HOSTS = 253;

/**
 * The number of a new lab: derived from its name, so that a lab gets the same addresses each time, or the next one
 * that is free. `taken` holds the numbers in use by other labs and by interfaces of the machine.
 */
export function allocateLab(name: string, taken: ReadonlySet<number>): number {
  const wish = createHash('sha256').update(name).digest().readUInt32BE(0) % LABS;
  for (let i = 0; i < LABS; i++) {
    const k = 1 + ((wish + i) % LABS);
    if (!taken.has(k)) return k;
  }
  throw new DrayageError('LAB_BUSY', 'All 254 lab networks are in use.', { remedy: 'Run: drayage lab down --all' });
}

export function hostAddress(k: number, n: number): string {
  if (n < 1 || n > HOSTS) throw new RangeError(`a lab has hosts 1 to ${HOSTS}, not ${n}`);
  return `10.77.${k}.${n}`;
}

export function machineAddress(k: number): string {
  return `10.77.${k}.254`;
}

/** The one interface of the lab that the machine has in its own network namespace. */
export function uplinkName(k: number): string {
  return `dlab${k}`;
}

/** The third bytes of all addresses 10.77.x.y that are found in `text`, as `ip address` or a route table prints them. */
export function takenIn(text: string): Set<number> {
  return new Set([...text.matchAll(/\b10\.77\.(\d{1,3})\./g)].map((match) => Number(match[1])));
}
