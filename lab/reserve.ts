/** The part of coming up that labs do one after another: who has which name and which network. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import type { Run } from '../src/exec/run.ts';
import { allocateLab, hostAddress, takenIn } from './address.ts';
import { cleanLab } from './clean.ts';
import { lock } from './lock.ts';
import { thisProcess } from './process.ts';
import { isAbandoned, isWhole, type LabState, listLabs, readState, writeState } from './state.ts';
import type { BootOptions } from './up.ts';

/** Writes down the new lab under a network that is free, having removed what nobody will use any more. */
export function reserve(run: Run, options: BootOptions): Promise<LabState> {
  const { store, name, docker, agent, rate, diskMb, ephemeral } = options;
  return underStoreLock(store, async () => {
    const old = await readState(store, name);
    if (old !== undefined && !isAbandoned(old)) {
      if (isWhole(old)) throw new DrayageError('LAB_EXISTS', `Lab ${name} is up.`);
      if (old.phase !== 'up') throw new DrayageError('LAB_BUSY', `Lab ${name} is ${old.phase}.`);
    }
    for (const lab of await listLabs(store)) {
      const dead = lab.name === name || lab.state === undefined || isAbandoned(lab.state);
      if (!dead) continue;
      options.onProgress(`removing what was left of lab ${lab.name}`);
      await cleanLab(run, store, lab.name, lab.state);
    }
    const { stdout } = await run('ip', ['-4', 'route', 'show', 'table', 'all']);
    const others = await listLabs(store);
    const taken = new Set([...takenIn(stdout), ...others.map((lab) => lab.state?.k ?? 0)]);
    const k = allocateLab(name, taken);
    const hosts = options.hosts.map((host, i) => ({ name: host, n: i + 1, address: hostAddress(k, i + 1) }));
    const owner = thisProcess();
    const state: LabState = {
      name,
      k,
      phase: 'starting',
      owner,
      ephemeral,
      docker,
      agent,
      rate,
      diskMb,
      layers: [],
      hosts,
    };
    await writeState(store, state);
    return state;
  });
}

/** Labs come and go one at a time; the lock is held for moments only. */
export async function underStoreLock<T>(store: string, work: () => Promise<T>): Promise<T> {
  await mkdir(join(store, 'labs'), { recursive: true });
  await using _ = await lock(join(store, 'labs.lock'));
  return await work();
}

export function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new DrayageError('LAB_NEEDS_ROOT', 'The lab needs root.');
}
