/** What is done while the workload stands still on the source. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyWorkload } from '../engines/facts.ts';
import { isFrozen, thaw } from '../engines/freezer.ts';
import { freezeStill } from '../engines/processes/still.ts';
import { DrayageError } from '../errors.ts';
import type { Checkpoint } from '../tools/checkpoint.ts';
import { holdAddresses, silenceAddresses } from './address-handover.ts';
import { allOf } from './all-of.ts';
import { explainFailure } from './explain-failure.ts';
import { holdTraffic, noteFlows } from './handover.ts';
import { holdPorts } from './port-handover.ts';
import { frozenByAnother, type Prepared } from './prepared.ts';
import type { SourceMigration } from './source-migration.ts';
import { endStragglers } from './stragglers.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Frozen {
  /** When the workload stopped running, in milliseconds from the migration's start. */
  atMs: number;
}

/** From here on the workload stands still. */
export async function freezeWorkload(
  m: SourceMigration,
  { facts, handover, addresses, relay }: Prepared,
  undo: UndoStack,
): Promise<Frozen> {
  const { cgroupPath } = facts.workload;
  // On disk before the freeze, for a recovery; and before the hold, for it takes its time.
  await m.journal.append({ type: 'state', state: 'frozen' });
  await m.trace.step('hold traffic', () =>
    allOf(
      handover && holdTraffic(m, handover, undo),
      addresses && holdAddresses(m, addresses, undo),
      relay && holdPorts(m, relay, undo),
    ),
  );
  if (isFrozen(cgroupPath)) throw frozenByAnother(facts.workload);
  undo.push('the freeze', () => untilDone(m.stopping, async () => thaw(cgroupPath), m.noteRetry));
  const atMs = m.trace.now();
  await freezeStill(cgroupPath);
  return { atMs };
}

/** Dump, transfer of the images and the last file differences, side by side; all is on the target at the end. */
export async function dump(m: SourceMigration, prepared: Prepared, undo: UndoStack): Promise<void> {
  const { facts, memory, checkpoint } = prepared;
  const { stage } = prepared.started;
  const imagesDir = join(stage, 'images');
  const dumped = m.phase('dump', () => dumpTo(stage, checkpoint));
  // A dump in progress must end before anything is thawed under it.
  undo.push('the dump', () => dumped.catch(() => {}));
  const progress = m.progress('transfer', 'memory', facts.workload.memoryBytes);
  const sent = memory.sendDump(imagesDir, dumped, progress);
  const synced = m.phase('sync', () => prepared.sync(dumped));
  const transferred = dumped.then(() => m.phase('transfer', () => sent));
  // A transfer that nobody waits for any more must not hold up the thaw.
  const stop = (): void => memory[Symbol.dispose]();
  m.signal.addEventListener('abort', stop, { once: true });
  synced.catch(stop);
  const noted = prepared.handover && noteFlows(m, prepared.handover, undo);
  const silenced = prepared.addresses && silenceAddresses(prepared.addresses, undo);
  await allOf(dumped, synced, transferred, sent, noted, silenced).finally(() => m.checkpoint());
  assertFrozen(facts.workload);
  m.bytes += memory.bytes;
  memory[Symbol.dispose]();
}

/** @throws DrayageError THAWED_MEANWHILE where the workload may have run on after its dump. */
export function assertFrozen({ cgroupPath, ref }: AnyWorkload): void {
  if (!isFrozen(cgroupPath))
    throw new DrayageError('THAWED_MEANWHILE', `Something thawed ${ref.name} while it was being moved.`);
}

async function dumpTo(stage: string, checkpoint: Checkpoint): Promise<void> {
  try {
    await checkpoint.dump();
  } catch (error) {
    await endStragglers(stage);
    const log = await readFile(join(stage, 'work/dump.log'), 'utf8').catch(() => '');
    throw explainFailure('DUMP_FAILED', 'CRIU could not dump the workload', log, error as Error);
  }
}
