/** What becomes of all that a migration made on the target, by its journal: kept after the commit, or taken back. */
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import type { Journal } from './journal.ts';
import { openResources, type State } from './journal-records.ts';
import { fromJournal, removeResource } from './resource.ts';

/** After the commit: frees what was only staged and gives the copy its restart policy. What is part of it stays. */
export async function releaseCopy(journal: Journal, tools: { docker: Docker; run: Run }): Promise<void> {
  for (const entry of openResources(journal.records)) {
    const resource = fromJournal(entry);
    if (resource.kind === 'guard' || resource.kind === 'rendezvous' || resource.kind === 'stage')
      await removeResource(resource, tools);
    if (resource.kind === 'container' && resource.id !== undefined) {
      await tools.docker.update(resource.id, { RestartPolicy: resource.restartPolicy });
    }
    await journal.append({ type: 'released', key: entry.key });
  }
  await journal.append({ type: 'state', state: 'released' });
}

/** Undoes what the journal says there may be, newest first; what cannot be removed yet stays on the list. */
export async function undoResources(journal: Journal, tools: { docker: Docker; run: Run }): Promise<void> {
  let failure: unknown;
  for (const entry of openResources(journal.records)) {
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
