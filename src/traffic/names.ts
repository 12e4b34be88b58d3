/** What drayage makes in a kernel has names of its own, made of the forward's id. */
import { createHash } from 'node:crypto';

const PREFIX = 'drayage_';

/** Eight digits: device names have room for 15 bytes. */
function shortId(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 8);
}

export function tableName(role: 'source' | 'target' | 'hold' | 'own', id: string): string {
  return `${PREFIX}${role}_${shortId(id)}`;
}

export function isOurTable(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Both ends of the pair that holds packets; `lane` tells the pairs of a migration apart. */
export function holdDevices(id: string, lane: number): { near: string; far: string } {
  return { near: `dyh${shortId(id)}-${lane}`, far: `dyi${shortId(id)}-${lane}` };
}

/** The port that stands on a bridge in the place of what is on the other host, and its other end with its address. */
export function standInDevices(id: string, index: number): { port: string; end: string; linkLocal: string } {
  const short = shortId(id);
  return {
    port: `dyp${short}-${index}`,
    end: `dys${short}-${index}`,
    linkLocal: `fe80::d7:${short.slice(0, 4)}:${short.slice(4)}:${index}`,
  };
}

export function tunnelDevice(pair: string): string {
  return `dyv${shortId(pair)}`;
}

/** One that is made for a trial, and is gone with it. */
export function trialDevice(pair: string): string {
  return `dyt${shortId(pair)}`;
}

export function isTrialDevice(name: string): boolean {
  return /^dyt[0-9a-f]{8}$/.test(name);
}

export function isOurDevice(name: string): boolean {
  return /^dy[hipstv][0-9a-f]{8}(-\d+)?$/.test(name);
}
