/** What becomes of a workload's traffic when the source's agent was killed in the middle of a migration. */
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { listTables } from '../tools/nft.ts';
import { queueState } from '../tools/tc.ts';
import { armedRules, finishSource, remainingRules, removeSource, type SourceSide } from '../traffic/forward.ts';
import { armTarget, endHold, type Hold, releaseToSource, releaseToTarget, removeHold } from '../traffic/hold.ts';
import { type HoldSpec, lanesOf, sealName } from '../traffic/hold-rules.ts';
import { tableName } from '../traffic/names.ts';
import type { ForwardStore } from '../traffic/store.ts';
import { inTurn } from './in-turn.ts';
import type { JournalRecord } from './journal-records.ts';
import { finishAddresses, removeLeftAddresses, undoAddresses } from './recover-addresses.ts';

interface Left {
  spec: HoldSpec;
  /** As it was prepared; what was decided in the freeze is in the intent record. */
  source: SourceSide;
  /** Machine id of the target. */
  machine: string;
  /** `docker:web` */
  workload: string;
}

type Records = readonly JournalRecord[];

/** The workload goes on here: what waits is delivered here. Nothing happens where nothing was begun. */
export async function undoHandover(run: Run, records: Records): Promise<void> {
  await undoAddresses(run, records);
  const left = leftIn(records);
  if (left === undefined) return;
  const held = await heldBefore(run, left.spec);
  await releaseToSource(run, held);
  await removeHold(run, { ...held, lanes: lanesOf(left.spec) });
  await removeSource(run, left.source);
}

/**
 * The workload runs on the target: what waits goes there, and so does all that comes. May be repeated, also where parts
 * of it were done before.
 * @returns what went wrong
 */
export async function finishHandover(
  run: Run,
  records: Records,
  store: ForwardStore,
  /** As the user named it. */
  target: string,
): Promise<unknown[]> {
  const left = leftIn(records);
  const side = forwardIn(records);
  const follow = (): Promise<void> => finishAddresses(run, records);
  if (left === undefined) return inTurn(follow);
  const held = await heldBefore(run, left.spec);
  if (side === undefined) return inTurn(follow, () => removeSource(run, left.source));
  const network = await readNetwork(run);
  const present = network.devices.map(({ name }) => name);
  const { id } = side;
  const before = { packets: 0, bytes: 0 };
  const { workload, machine } = left;
  const peer = { name: target, machine };
  return inTurn(
    follow,
    () => store.put({ version: 1, role: 'source', id, workload, peer, since: Date.now(), side, before }),
    () => armTarget(run, armedRules(side, network, held.lanes)),
    () => release(run, held),
    () => finishSource(run, side),
    () => endHold(run, held, remainingRules(side, network, held.lanes), present),
  );
}

/** Whether anything of a hold is still there. */
export async function hasLeftHold(run: Run, records: Records): Promise<boolean> {
  const left = leftIn(records);
  if (left === undefined) return false;
  const [{ lanes }, tables] = await Promise.all([heldBefore(run, left.spec), listTables(run)]);
  const names = [tableName('hold', left.spec.id), sealName(left.spec.id)];
  return lanes.length > 0 || tables.some(({ name }) => names.includes(name));
}

/** What waits goes on to rules that are in place behind it. */
export async function openLeftHold(run: Run, records: Records): Promise<void> {
  const left = leftIn(records);
  if (left !== undefined) await release(run, await heldBefore(run, left.spec));
}

/** Once the source's copy is gone, of which nobody must hear until then. */
export async function removeLeftHold(run: Run, records: Records): Promise<void> {
  await removeLeftAddresses(run, records);
  const left = leftIn(records);
  if (left !== undefined) await removeHold(run, { spec: left.spec, lanes: lanesOf(left.spec) });
}

/** Where it was done before, tc has nothing left to do, and says so by failing. */
async function release(run: Run, held: Hold): Promise<void> {
  try {
    await releaseToTarget(run, held);
  } catch (error) {
    const queues = await Promise.all(held.lanes.map(({ near }) => queueState(run, near)));
    if (queues.some((queue) => (queue?.waiting ?? 0) > 0)) throw error;
  }
}

function leftIn(records: Records): Left | undefined {
  const record = records.find((each) => each.type === 'acquired' && each.resource.kind === 'handover');
  return record?.type === 'acquired' ? (record.resource as unknown as Left) : undefined;
}

function forwardIn(records: Records): SourceSide | undefined {
  const intent = records.find((each) => each.type === 'state' && each.state === 'intent');
  return intent?.type === 'state' ? (intent.data as { forward?: SourceSide } | undefined)?.forward : undefined;
}

/** The queues as they were left; after a restart of the host there are none. */
async function heldBefore(run: Run, spec: HoldSpec): Promise<Hold> {
  const { devices } = await readNetwork(run);
  const lanes = lanesOf(spec).filter(({ near }) => devices.some(({ name }) => name === near));
  return { spec, lanes, how: lanes.length > 0 ? 'queue' : 'drop' };
}
