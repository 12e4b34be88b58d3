/**
 * `drayage forwards repair`: finishes what a migration could not when it switched the traffic, and puts in place anew what
 * somebody removed.
 */
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { installSource, installTarget } from '../traffic/forward.ts';
import { type ForwardStore, notSwitched, type StoredForward } from '../traffic/store.ts';
import { eventsOf, type JournalRecord, lastState } from './journal-records.ts';
import { finishHandover, hasLeftHold, openLeftHold, removeLeftHold } from './recover-handover.ts';

/** What is there of a forward: what is kept of it on disk, and the journal of the migration that made it. */
export interface Repairable {
  id: string;
  stored: readonly StoredForward[];
  /** Of its source; absent where this host has none, or the migration has not come to its end. */
  records?: readonly JournalRecord[];
}

/** @throws DrayageError FORWARD_UNKNOWN; TRAFFIC_NOT_SWITCHED where it fails again */
export async function repairForward(run: Run, store: ForwardStore, forward: Repairable): Promise<void> {
  const { id, stored, records = [] } = forward;
  const workload = stored[0]?.workload ?? startedOf(records)?.workload ?? id;
  try {
    const isLeft = isCommitted(records) && (await hasLeftHold(run, records));
    if (stored.length === 0 && !isLeft) throw unknownForward(id);
    await store.exclusively(() => install(run, stored));
    if (!isLeft) return;
    const isStored = stored.some(({ role }) => role === 'source');
    await (isStored ? openLeftHold(run, records) : finishAnew(run, store, records));
    await removeLeftHold(run, records);
  } catch (error) {
    throw error instanceof DrayageError ? error : notSwitched({ id, workload }, error);
  }
}

/** What still holds packets, where a forward is given up. False where there is nothing. */
export async function giveUpHold(run: Run, { records = [] }: Repairable): Promise<boolean> {
  if (!isCommitted(records) || !(await hasLeftHold(run, records))) return false;
  await removeLeftHold(run, records);
  return true;
}

export function unknownForward(id: string): DrayageError {
  return new DrayageError('FORWARD_UNKNOWN', `There is no forward ${id} on this host.`);
}

async function install(run: Run, stored: readonly StoredForward[]): Promise<void> {
  for (const forward of stored) {
    if (forward.role === 'source') await installSource(run, forward.side);
    else await installTarget(run, forward.side);
  }
}

/** It could not even be written down that there is a forward. */
async function finishAnew(run: Run, store: ForwardStore, records: readonly JournalRecord[]): Promise<void> {
  const [failure] = await finishHandover(run, records, store, startedOf(records)?.target ?? '');
  if (failure !== undefined) throw failure;
}

function startedOf(records: readonly JournalRecord[]): { workload: string; target: string } | undefined {
  return eventsOf(records).find((event) => event.type === 'started');
}

/** On the source, which may hold packets no longer than until its copy is gone. */
function isCommitted(records: readonly JournalRecord[]): boolean {
  return lastState(records) === 'retired';
}
