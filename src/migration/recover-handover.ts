/** What becomes of a workload's traffic when the source's agent was killed in the middle of a migration. */
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { armedRules, finishSource, remainingRules, removeSource, type SourceSide } from '../traffic/forward.ts';
import { armTarget, endHold, type Hold, releaseToSource, releaseToTarget, removeHold } from '../traffic/hold.ts';
import { type HoldSpec, lanesOf } from '../traffic/hold-rules.ts';
import type { ForwardStore } from '../traffic/store.ts';
import type { Journal } from './journal.ts';

interface Left {
  spec: HoldSpec;
  /** As it was prepared; what was decided in the freeze is in the intent record. */
  source: SourceSide;
}

/** The workload goes on here: what waits is delivered here. Nothing happens where nothing was begun. */
export async function undoHandover(run: Run, journal: Journal): Promise<void> {
  const left = leftIn(journal);
  if (left === undefined) return;
  const held = await heldBefore(run, left.spec);
  await releaseToSource(run, held);
  await removeHold(run, { ...held, lanes: lanesOf(left.spec) });
  await removeSource(run, left.source);
}

/**
 * The workload runs on the target: what waits goes there, and so does all that comes. May be repeated.
 * @returns what is to be done once the source's copy is gone, of which nobody must hear until then
 */
export async function finishHandover(
  run: Run,
  journal: Journal,
  store: ForwardStore,
  { workload, peer }: { workload: string; peer: { name: string; machine: string } },
): Promise<() => Promise<void>> {
  const left = leftIn(journal);
  const side = forwardIn(journal);
  if (left === undefined) return async () => {};
  const held = await heldBefore(run, left.spec);
  const over = (): Promise<void> => removeHold(run, { ...held, lanes: lanesOf(left.spec) });
  if (side === undefined) {
    await removeSource(run, left.source);
    return over;
  }
  const { id } = side;
  await store.put({
    ...{ version: 1, role: 'source', id, workload, peer, since: Date.now() },
    ...{ side, before: { packets: 0, bytes: 0 } },
  });
  const network = await readNetwork(run);
  const present = network.devices.map(({ name }) => name);
  await armTarget(run, armedRules(side, network, held.lanes));
  await releaseToTarget(run, held);
  await finishSource(run, side);
  await endHold(run, held, remainingRules(side, network, held.lanes), present);
  return over;
}

function leftIn(journal: Journal): Left | undefined {
  const record = journal.records.find((each) => each.type === 'acquired' && each.resource.kind === 'handover');
  return record?.type === 'acquired' ? (record.resource as unknown as Left) : undefined;
}

function forwardIn(journal: Journal): SourceSide | undefined {
  const intent = journal.records.find((each) => each.type === 'state' && each.state === 'intent');
  return intent?.type === 'state' ? (intent.data as { forward?: SourceSide } | undefined)?.forward : undefined;
}

/** The queues as they were left; after a restart of the host there are none. */
async function heldBefore(run: Run, spec: HoldSpec): Promise<Hold> {
  const { devices } = await readNetwork(run);
  const lanes = lanesOf(spec).filter(({ near }) => devices.some(({ name }) => name === near));
  return { spec, lanes, how: lanes.length > 0 ? 'queue' : 'drop' };
}
