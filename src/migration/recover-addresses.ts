/** What becomes of a workload's own addresses when the source's agent was killed in the middle of a migration. */
import { ProgramError, type Run } from '../exec/run.ts';
import { listTables } from '../tools/nft.ts';
import { inNetworkOf } from '../tools/nsenter.ts';
import { followAddress, leftBehind, removeAddress, returnAddress, unprepared } from '../traffic/address-move.ts';
import type { AddressMove } from '../traffic/address-rules.ts';
import { tableName } from '../traffic/names.ts';
import type { JournalRecord } from './journal-records.ts';

interface Left {
  move: AddressMove;
  /** Of a process of the workload, then. */
  pid: number;
}

/** The workload goes on here. Nothing happens where nothing was begun. */
export async function undoAddresses(run: Run, records: readonly JournalRecord[]): Promise<void> {
  const left = leftIn(records);
  if (left !== undefined) await returnAddress(run, await insideOf(run, left), await leftBehind(run, left.move));
}

/** The workload runs on the target. May be repeated. */
export async function finishAddresses(run: Run, records: readonly JournalRecord[]): Promise<void> {
  const left = leftIn(records);
  if (left !== undefined) await followAddress(run, await insideOf(run, left), await leftBehind(run, left.move));
}

/** Once the source's copy is gone. */
export async function removeLeftAddresses(run: Run, records: readonly JournalRecord[]): Promise<void> {
  const left = leftIn(records);
  if (left !== undefined) await removeAddress(run, undefined, unprepared(left.move));
}

function leftIn(records: readonly JournalRecord[]): Left | undefined {
  const record = records.find((each) => each.type === 'acquired' && each.resource.kind === 'address');
  return record?.type === 'acquired' ? (record.resource as unknown as Left) : undefined;
}

/** The workload's namespace, which is known by our table in it: the pid may be another process's by now. */
async function insideOf(run: Run, { pid, move }: Left): Promise<Run | undefined> {
  const inside = inNetworkOf(pid, run);
  try {
    const tables = await listTables(inside);
    return tables.some(({ name }) => name === tableName('own', move.id)) ? inside : undefined;
  } catch (error) {
    if (error instanceof ProgramError) return undefined;
    throw error;
  }
}
