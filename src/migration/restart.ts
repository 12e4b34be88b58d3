/**
 * The way of a migration by restart, as the source's agent drives it; survey and preflight have been.
 *
 *   prepare ─ STOP ─ sync ─ start ─ healthy? ─ COMMIT ─ release
 *   └── undo, newest first ──┘ └── asks ────┘ └ roll forward
 *
 * Up to the intent record any failure is undone and the source is started again. From there on the copy may run, so
 * nothing is started here until the target has said that it does not, and never will: its journal decides.
 */
import { DrayageError } from '../errors.ts';
import type { SourceSide } from '../traffic/forward.ts';
import { type SettledDoubt, settleDoubt } from './doubt.ts';
import { concluded, undone } from './ending.ts';
import type { MigrationResult } from './events.ts';
import type { ContainerFacts } from './facts.ts';
import { armForward, arrivingTraffic, forwardOf } from './handover.ts';
import { type PreparedRestart, prepareRestart } from './prepare-restart.ts';
import { TARGET } from './prepared.ts';
import { retire } from './retire.ts';
import type { SourceMigration } from './source-migration.ts';
import { assertState, type Stopped, sendDifferences, stopWorkload, takeName, tellIfStarted } from './stop.ts';
import type { CommitAnswer } from './target-port.ts';
import { UndoStack } from './undo.ts';

export async function moveByRestart(m: SourceMigration, facts: ContainerFacts): Promise<MigrationResult> {
  const undo = new UndoStack();
  const isRunning = facts.workload.state === 'running';
  let prepared: PreparedRestart;
  let stopped: Stopped;
  let forward: SourceSide | undefined;
  try {
    prepared = await m.phase('prepare', () => prepareRestart(m, facts, undo));
    m.checkpoint();
    stopped = await m.phase('stop', () => stopWorkload(m, prepared, undo));
    m.checkpoint();
    await m.phase('sync', async () => {
      await takeName(m, prepared, undo);
      await sendDifferences(m, prepared, stopped);
    });
    await assertState(m, prepared, false);
    m.checkpoint();
    forward = prepared.handover && forwardOf(prepared.handover);
    await m.journal.append({ type: 'state', state: 'intent', data: { forward } });
  } catch (error) {
    return undone(m, undo, error);
  }

  let failure: DrayageError | undefined;
  let answer: SettledDoubt;
  try {
    await m.phase('start', () => startThere(m, prepared, forward, undo));
    m.checkpoint();
    answer = await m.phase('commit', () => commitUnlessCancelled(m));
  } catch (error) {
    failure = DrayageError.from(error);
    answer = await endThere(m, failure);
  }
  if (answer.outcome === 'aborted') undo.drop(TARGET); // It has undone it, and knows nothing of it any more.
  return concluded(m, undo, answer, {
    stoppedAtMs: isRunning ? stopped.atMs : null,
    targetId: prepared.containerId,
    refused: (reason) => failure ?? new DrayageError('NOT_HEALTHY', reason),
    release: async (recorded) => {
      // Before it is ended; clients do not wait for it.
      const told = tellIfStarted(m, prepared).catch(() => {});
      const kept = await retire(m, prepared, { forward, recorded });
      await told;
      return kept;
    },
  });
}

/** The copy runs afterwards, and what is held here will find it. */
async function startThere(
  m: SourceMigration,
  { handover }: PreparedRestart,
  forward: SourceSide | undefined,
  undo: UndoStack,
): Promise<void> {
  await m.target.start(m.id, handover && arrivingTraffic(m, handover));
  if (handover !== undefined && forward !== undefined) await armForward(m, handover, forward, undo);
}

/** Until the copy is healthy an undo is to be had: it ends the waiting on the target, which then answers so. */
async function commitUnlessCancelled(m: SourceMigration): Promise<CommitAnswer> {
  const end = (): void => void m.target.abort(m.id, reasonOf(m)).catch(() => {});
  m.signal.addEventListener('abort', end, { once: true });
  try {
    return await m.target.commit(m.id);
  } finally {
    m.signal.removeEventListener('abort', end);
  }
}

/** Something failed while the copy may have been running: ended there for certain, or, in doubt, as its journal says. */
async function endThere(m: SourceMigration, { message }: DrayageError): Promise<SettledDoubt> {
  try {
    await m.target.abort(m.id, m.cancelled === undefined ? message : reasonOf(m));
    return { outcome: 'aborted', reason: message };
  } catch {
    return settleDoubt(m, m.stopping, m.decided);
  }
}

function reasonOf({ cancelled }: SourceMigration): string {
  return cancelled?.message ?? 'the source undid it';
}
