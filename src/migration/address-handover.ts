/**
 * How a workload's own addresses on the LAN go along, on the source: what comes for them waits from before the freeze,
 * and is sent on once the target has announced them. What fails here after the commit stops no workload.
 */
import type { WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { inNetworkOf } from '../tools/nsenter.ts';
import {
  addressMove,
  followAddress,
  giveUpAddress,
  holdAddress,
  holdNewToAddress,
  type LeavingAddress,
  letSpeak,
  prepareAddress,
  removeAddress,
  returnAddress,
  silence,
  unprepared,
} from '../traffic/address-move.ts';
import { settle } from './handover.ts';
import type { SourceMigration } from './source-migration.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface AddressHandover {
  pid: number;
  leaving: LeavingAddress;
  /** In the workload's namespace. */
  inside: Run;
}

/** Everything that can be made beforehand; no packet is touched. Undefined where there is none, or it is not asked for. */
export async function prepareAddresses(
  m: SourceMigration,
  { pid, traffic }: WorkloadFacts,
  undo: UndoStack,
): Promise<AddressHandover | undefined> {
  const own = traffic?.own ?? [];
  if (own.length === 0 || m.options.handover === 'none') return undefined;
  const inside = inNetworkOf(pid, m.run);
  const move = await addressMove(m.run, m.id, own);
  // Written down first, so that a recovery after a crash knows what to let go of.
  await m.journal.append({ type: 'acquired', resource: { kind: 'address', key: 'address', move, pid } });
  undo.push('the queues of the address', () => removeAddress(m.run, inside, unprepared(move)));
  return { pid, leaving: await prepareAddress(m.run, inside, move), inside };
}

/** From now on packets wait. @throws DrayageError NOT_ACCEPTED where the program does not accept its connections */
export async function holdAddresses(m: SourceMigration, handover: AddressHandover, undo: UndoStack): Promise<void> {
  const { pid, leaving, inside } = handover;
  undo.push('the hold of the address', () =>
    untilDone(m.stopping, () => returnAddress(m.run, inside, leaving), m.noteRetry),
  );
  if (!m.options.dropConnections) {
    await holdNewToAddress(m.run, leaving);
    await settle(m, pid);
  }
  await holdAddress(m.run, inside, leaving);
}

/** The workload stands still: its kernel answers for the address, and says nothing else. */
export async function silenceAddresses({ leaving, inside }: AddressHandover, undo: UndoStack): Promise<void> {
  undo.push('the silence of the address', () => letSpeak(inside, leaving));
  await silence(inside, leaving);
}

/** What is restored in a second or so: who asks in vain for an address asks again after a second, three times in all. */
const SHORT_RESTORE_BYTES = 1 << 30;

/** Before the target may answer for the address; while it restores, where that does not take long. */
export async function giveUpAddresses(
  m: SourceMigration,
  { leaving, inside }: AddressHandover,
  { restored, memoryBytes }: { restored: Promise<unknown>; memoryBytes: number },
): Promise<void> {
  if (memoryBytes > SHORT_RESTORE_BYTES) await restored;
  // Without it there may be two answers for a moment; the last one is the target's.
  await giveUpAddress(m.run, inside, leaving).catch((error: unknown) => tell(m, error));
}

/** After the commit: what waited goes to the target, as it came. */
export async function followAddresses(m: SourceMigration, { leaving, inside }: AddressHandover): Promise<void> {
  await followAddress(m.run, inside, leaving).catch((error: unknown) => tell(m, error));
}

/** Once the source's copy is gone. */
export async function settleAddresses(m: SourceMigration, { leaving }: AddressHandover): Promise<void> {
  await removeAddress(m.run, undefined, leaving).catch((error: unknown) => tell(m, error));
}

function tell(m: SourceMigration, error: unknown): void {
  m.emit({ type: 'note', message: `of the move of the address: ${DrayageError.from(error).message}` });
}
