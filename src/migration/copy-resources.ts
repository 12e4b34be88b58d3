/** What becomes of all that a migration made on the target, by its journal: kept after the commit, or taken back. */
import { setLimits } from '../engines/process/limits.ts';
import { settleCgroup } from '../engines/process/own-cgroup.ts';
import { settleFiles } from '../engines/process/take-back-files.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import type { Journal } from './journal.ts';
import { lastState, openResources, type State } from './journal-records.ts';
import { fromJournal, ignoreMissing, type Resource, removeResource } from './resource.ts';

/** Not part of the copy. */
const STAGED: readonly Resource['kind'][] = ['guard', 'rendezvous', 'stage', 'address'];

/**
 * After the commit: frees what was only staged and gives the copy its restart policy. What is part of it stays. May be
 * repeated; where it is cut short, the journal says that the copy runs.
 * @returns what its user is to know: limits that it does not have here
 */
export async function releaseCopy(journal: Journal, tools: { docker: Docker; run: Run }): Promise<string[]> {
  const notes: string[] = [];
  if (lastState(journal.records) === 'committed') await journal.append({ type: 'state', state: 'running' });
  for (const entry of openResources(journal.records)) {
    const resource = fromJournal(entry);
    if (STAGED.includes(resource.kind)) await removeResource(resource, tools);
    if (resource.kind === 'files') await settleFiles(resource.path);
    if (resource.kind === 'cgroup') {
      const { path, values } = resource;
      if (values === undefined) await settleCgroup(path);
      else notes.push(...(await setLimits({ path, values })));
    }
    if (resource.kind === 'container' && resource.id !== undefined) {
      // One that ended meanwhile and was removed, by --rm or its user, needs none.
      await ignoreMissing(tools.docker.update(resource.id, { RestartPolicy: resource.restartPolicy }));
    }
    await journal.append({ type: 'released', key: entry.key });
  }
  await journal.append({ type: 'state', state: 'released' });
  return notes;
}

/**
 * Undoes what the journal says there may be, newest first; what cannot be removed yet stays on the list. The guard goes
 * last and only when all else is gone: until then an engine's start that is under way must not find the way free.
 */
export async function undoResources(journal: Journal, tools: { docker: Docker; run: Run }): Promise<void> {
  let failure: unknown;
  const entries = openResources(journal.records);
  for (const entry of [...entries.filter((e) => e.kind !== 'guard'), ...entries.filter((e) => e.kind === 'guard')]) {
    if (entry.kind === 'guard' && failure !== undefined) break;
    try {
      await removeResource(fromJournal(entry), tools);
      await journal.append({ type: 'released', key: entry.key });
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

export function isCommitted(state: State | undefined): boolean {
  return state === 'committed' || state === 'running' || state === 'released';
}
