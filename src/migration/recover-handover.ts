/** What becomes of a workload's traffic when the source's agent was killed in the middle of a migration. */
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { armedRules, finishSource, remainingRules, removeSource, type SourceSide } from '../traffic/forward.ts';
import { armTarget, endHold, type Hold, releaseToSource, releaseToTarget, removeHold } from '../traffic/hold.ts';
import { type HoldSpec, lanesOf } from '../traffic/hold-rules.ts';
import type { ForwardStore } from '../traffic/store.ts';
import type { Journal } from './journal.ts';
import { finishAddresses, removeLeftAddresses, undoAddresses } from './recover-addresses.ts';

interface Left {
  spec: HoldSpec;
  /** As it was prepared; what was decided in the freeze is in the intent record. */
  source: SourceSide;
}

/** The workload goes on here: what waits is delivered here. Nothing happens where nothing was begun. */
export async function undoHandover(run: Run, journal: Journal): Promise<void> {
  await undoAddresses(run, journal);
  const left = leftIn(journal);
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
  journal: Journal,
  store: ForwardStore,
  { workload, peer }: { workload: string; peer: { name: string; machine: string } },
): Promise<unknown[]> {
  const left = leftIn(journal);
  const side = forwardIn(journal);
  const follow = (): Promise<void> => finishAddresses(run, journal);
  if (left === undefined) return inTurn(follow);
  const held = await heldBefore(run, left.spec);
  if (side === undefined) return inTurn(follow, () => removeSource(run, left.source));
  const network = await readNetwork(run);
  const present = network.devices.map(({ name }) => name);
  const { id } = side;
  const before = { packets: 0, bytes: 0 };
  return inTurn(
    follow,
    () => store.put({ version: 1, role: 'source', id, workload, peer, since: Date.now(), side, before }),
    () => armTarget(run, armedRules(side, network, held.lanes)),
    () => releaseToTarget(run, held),
    () => finishSource(run, side),
    () => endHold(run, held, remainingRules(side, network, held.lanes), present),
  );
}

/** Once the source's copy is gone, of which nobody must hear until then. */
export async function removeLeftHold(run: Run, journal: Journal): Promise<void> {
  await removeLeftAddresses(run, journal);
  const left = leftIn(journal);
  if (left !== undefined) await removeHold(run, { spec: left.spec, lanes: lanesOf(left.spec) });
}

/** All of them, whatever becomes of the others. */
async function inTurn(...steps: (() => Promise<void>)[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  return failures;
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
