/**
 * The way of a migration, as the source's agent drives it.
 *
 *   survey ─ preflight ─ prepare ─ FREEZE ─ dump ∥ transfer ∥ sync ─ restore ─ COMMIT ─ release
 *                        └────────────── undo, newest first ──────────────┘  └ roll forward
 *
 * Up to the intent record any failure is undone and the source runs on. From there until the target has answered the
 * migration is in doubt: the source stays frozen, and the target's journal decides.
 */
import { DrayageError } from '../errors.ts';
import type { SourceSide } from '../traffic/forward.ts';
import { giveUpAddresses } from './address-handover.ts';
import { allOf } from './all-of.ts';
import { settleDoubt } from './doubt.ts';
import { assertFrozen, dump, type Frozen, freezeWorkload } from './dump.ts';
import type { MigrationResult, Phase } from './events.ts';
import { checkFindings, survey } from './facts.ts';
import { armForward, arrivingTraffic, forwardOf } from './handover.ts';
import { type Prepared, prepare } from './prepare.ts';
import { retire } from './retire.ts';
import type { SourceMigration } from './source-migration.ts';
import { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export async function migrate(m: SourceMigration): Promise<MigrationResult> {
  const undo = new UndoStack();
  let frozen: Frozen | undefined;
  let prepared: Prepared;
  let forward: SourceSide | undefined;
  try {
    const facts = await m.phase('survey', () => survey(m));
    await m.phase('preflight', async () => checkFindings(m, facts));
    prepared = await m.phase('prepare', () => prepare(m, facts, undo));
    m.checkpoint();
    frozen = await m.phase('freeze', () => freezeWorkload(m, prepared, undo));
    await dump(m, prepared, undo);
    m.checkpoint();
    forward = await m.phase('restore', () => restore(m, prepared, undo));
    m.checkpoint();
    assertFrozen(prepared.facts.workload);
    await m.journal.append({ type: 'state', state: 'intent', data: { forward } });
  } catch (error) {
    return undone(m, undo, error);
  }

  const answer = await m.phase('commit', () =>
    m.target.commit(m.id).catch(() => settleDoubt(m, m.stopping, m.decided)),
  );
  if (answer.outcome === 'unknown') {
    await m.journal.append({ type: 'state', state: 'unknown' });
    return result(m, 'unknown', { outageMs: null, error: answer.error });
  }
  if (answer.outcome === 'aborted') {
    return undone(m, undo, new DrayageError('COMMIT_REFUSED', `The target did not commit: ${answer.reason}.`));
  }
  const outageMs = m.trace.now() - answer.sinceMs - frozen.atMs;
  const committed = { type: 'state', state: 'committed', data: { outageMs } } as const;
  await untilDone(m.stopping, () => m.journal.append(committed), m.noteRetry);
  undo.clear();
  const kept = await m.phase('release', () => retire(m, prepared, forward));
  return result(m, 'committed', { outageMs, targetId: prepared.containerId, ...kept });
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

async function undone(m: SourceMigration, undo: UndoStack, cause: unknown): Promise<MigrationResult> {
  const error = m.cancelled ?? DrayageError.from(cause);
  await m.phase('undo', async () => {
    for (const failure of await undo.run()) {
      m.emit({ type: 'note', message: `undo of ${failure.name}: ${DrayageError.from(failure.error).message}` });
    }
  });
  // An agent that is being stopped leaves the rest to its next start, which goes by the journal.
  m.stopping.throwIfAborted();
  await m.journal.append({ type: 'state', state: 'undone' });
  return result(m, 'undone', { outageMs: null, error });
}

type Ending = Pick<MigrationResult, 'outageMs' | 'targetId' | 'keptAs'> & { error?: DrayageError };

function result(
  m: SourceMigration,
  outcome: MigrationResult['outcome'],
  { outageMs, error, ...rest }: Ending,
): MigrationResult {
  const names = [...new Set(m.trace.spans.filter((span) => span.kind === 'phase').map((span) => span.name as Phase))];
  return {
    type: 'result',
    id: m.id,
    outcome,
    outageMs: outageMs === null ? null : Math.round(outageMs * 10) / 10,
    totalMs: Math.round(m.trace.now()),
    bytes: m.bytes,
    phases: names.map((name) => ({ name, ms: Math.round(m.trace.phaseMs(name) * 10) / 10 })),
    ...rest,
    ...(error === undefined ? {} : { error: error.toJSON() }),
  };
}
