/**
 * The way of a migration, as the source's agent drives it.
 *
 *   survey ─ preflight ─ prepare ─ FREEZE ─ dump ∥ transfer ∥ sync ─ restore ─ COMMIT ─ release
 *                        └────────────── undo, newest first ──────────────┘  └ roll forward
 *
 * Up to the intent record any failure is undone and the source runs on. From there until the target has answered the
 * migration is in doubt: the source stays frozen, and the target's journal decides.
 */
import { isTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { SourceSide } from '../traffic/forward.ts';
import { giveUpAddresses } from './address-handover.ts';
import { allOf } from './all-of.ts';
import { snapshot } from './archive/snapshot.ts';
import { settleDoubt } from './doubt.ts';
import { assertFrozen, dump, type Frozen, freezeWorkload } from './dump.ts';
import { concluded, undone } from './ending.ts';
import type { MigrationResult } from './events.ts';
import { checkFindings, type Facts, survey } from './facts.ts';
import { armForward, arrivingTraffic, forwardOf } from './handover.ts';
import { prepare } from './prepare.ts';
import type { Prepared } from './prepared.ts';
import { moveByRestart } from './restart.ts';
import { retire } from './retire.ts';
import type { SourceMigration } from './source-migration.ts';
import type { Decision } from './strategy.ts';
import { UndoStack } from './undo.ts';

export async function migrate(m: SourceMigration): Promise<MigrationResult> {
  let facts: Facts;
  let strategy: Decision['strategy'];
  try {
    facts = await m.phase('survey', () => survey(m));
    strategy = await m.phase('preflight', async () => checkFindings(m, facts));
  } catch (error) {
    return undone(m, new UndoStack(), error);
  }
  const { workload } = facts;
  return strategy === 'restart' && !isTree(workload) ? moveByRestart(m, { ...facts, workload }) : moveLive(m, facts);
}

async function moveLive(m: SourceMigration, facts: Facts): Promise<MigrationResult> {
  const undo = new UndoStack();
  let frozen: Frozen;
  let prepared: Prepared;
  let forward: SourceSide | undefined;
  try {
    prepared = await m.phase('prepare', () => prepare(m, facts, undo));
    m.checkpoint();
    frozen = await m.phase('freeze', () => freezeWorkload(m, prepared, undo));
    m.checkpoint();
    await dump(m, prepared, undo);
    m.checkpoint();
    if (m.options.leaveRunning) return await snapshot(m, frozen, undo);
    forward = await m.phase('restore', () => restore(m, prepared, undo));
    m.checkpoint();
    assertFrozen(prepared.facts.workload);
    await m.journal.append({ type: 'state', state: 'intent', data: { forward } });
  } catch (error) {
    return undone(m, undo, error, facts.workload);
  }

  const answer = await m.phase('commit', () =>
    m.target.commit(m.id).catch(() => settleDoubt(m, m.stopping, m.decided)),
  );
  const { oneWay } = m.target;
  return concluded(m, undo, answer, {
    // Where an archive is imported, if it ever is, is known to nobody here.
    stoppedAtMs: oneWay ? null : frozen.atMs,
    ...(!oneWay && { targetId: prepared.containerId }),
    refused: (reason) => new DrayageError('COMMIT_REFUSED', `The target did not commit: ${reason}.`),
    release: (recorded) => retire(m, prepared, { forward, recorded }),
  });
}

/** All is restored on the target, nothing has run. What is to be forwarded to there, if anything is. */
async function restore(
  m: SourceMigration,
  { handover, addresses, facts }: Prepared,
  undo: UndoStack,
): Promise<SourceSide | undefined> {
  const restored = m.target.restore(m.id, handover && arrivingTraffic(m, handover));
  const left = addresses && giveUpAddresses(m, addresses, { restored, memoryBytes: facts.workload.memoryBytes });
  if (handover === undefined) return void (await allOf(restored, left));
  const forward = forwardOf(handover);
  await allOf(restored, left, armForward(m, handover, forward, undo));
  return forward;
}
