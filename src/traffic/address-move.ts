/**
 * The host that a workload's own addresses leave. Every step may be repeated; `removeAddress` undoes all of them, at any
 * time. `inside` runs programs in the workload's namespace; undefined where that is gone.
 */
import type { Run } from '../exec/run.ts';
import { applyIp, readNetwork, setSysctls } from '../tools/ip-network.ts';
import { applyNft, removeTable, replaceTable } from '../tools/nft.ts';
import {
  type AddressMove,
  addressHold,
  goneRules,
  innerTable,
  openRules,
  parentTable,
  silentRules,
  unheardRules,
  unsaidRules,
} from './address-rules.ts';
import { announce, prepareAnnouncement } from './announce.ts';
import { type Hold, hold, holdNew, prepareHold, releaseToSource, releaseToTarget, removeHold } from './hold.ts';
import { lanesOf } from './hold-rules.ts';
import { tableName } from './names.ts';
import type { OwnDevice } from './own-device.ts';

export interface LeavingAddress {
  move: AddressMove;
  held: Hold;
}

/** @param id of the migration */
export async function addressMove(run: Run, id: string, own: readonly OwnDevice[]): Promise<AddressMove> {
  const { devices } = await readNetwork(run);
  const macs = Object.fromEntries(devices.map(({ name, mac }) => [name, mac]));
  const parents = own.map(({ parent }) => [parent, macs[parent] ?? ''] as const);
  return { id: `${id}/own`, own, macs: Object.fromEntries(parents) };
}

/** Makes queues, and tables that let all through. Undo: `removeAddress`. */
export async function prepareAddress(run: Run, inside: Run, move: AddressMove): Promise<LeavingAddress> {
  const held = await prepareHold(run, addressHold(move));
  await Promise.all([
    applyNft(run, replaceTable(parentTable(move, held.how === 'queue' ? held.lanes : []))),
    applyNft(inside, replaceTable(innerTable(move))),
  ]);
  return { move, held };
}

/** From now on packets that open a connection wait. Undo: `returnAddress`. */
export async function holdNewToAddress(run: Run, { held }: LeavingAddress): Promise<void> {
  await holdNew(run, held);
}

/** From now on packets for the workload wait, or get lost where they come from its neighbours. Undo: `returnAddress`. */
export async function holdAddress(run: Run, inside: Run, { move, held }: LeavingAddress): Promise<void> {
  await Promise.all([hold(run, held), applyNft(inside, unheardRules(move))]);
}

/** When the workload is frozen: its kernel only answers for the address. Undo: `letSpeak`, before it goes on. */
export async function silence(inside: Run, { move }: LeavingAddress): Promise<void> {
  await applyNft(inside, unsaidRules(move));
}

export async function letSpeak(inside: Run, { move }: LeavingAddress): Promise<void> {
  await applyNft(inside, openRules(move, 'netdev', ['egress']));
}

/** Right before the commit: two hosts never answer for one address. Undo: `returnAddress`. */
export async function giveUpAddress(run: Run, inside: Run, { move }: LeavingAddress): Promise<void> {
  await Promise.all([applyNft(run, silentRules(move)), applyNft(inside, goneRules(move))]);
}

/**
 * The workload goes on here: what waited is delivered, and its neighbours are told of it, who may have asked in vain or
 * heard of another place.
 */
export async function returnAddress(run: Run, inside: Run | undefined, leaving: LeavingAddress): Promise<void> {
  const { move, held } = leaving;
  await Promise.all([
    applyNft(run, openRules(move, 'netdev', ['sent'])),
    inside && applyNft(inside, openRules(move, 'netdev', ['ingress', 'egress'])),
  ]);
  await releaseToSource(run, held);
  await removeAddress(run, inside, leaving);
  if (inside === undefined) return;
  const before = await prepareAnnouncement(inside, move.own);
  await announce(inside, move.own);
  await setSysctls(inside, before);
}

/** The workload goes on there: what waited is sent on, and neighbours on the same parent find the way by the LAN. */
export async function followAddress(run: Run, inside: Run | undefined, { move, held }: LeavingAddress): Promise<void> {
  const down = move.own.map(({ device }) => ['link', 'set', 'dev', device, 'down']);
  await Promise.all([releaseToTarget(run, held), inside && applyIp(inside, down)]);
}

/** Packets that wait are lost. After the commit, once the workload's old copy is gone. */
export async function removeAddress(run: Run, inside: Run | undefined, { move, held }: LeavingAddress): Promise<void> {
  const gone = removeTable({ family: 'netdev', name: tableName('own', move.id) });
  await Promise.all([removeHold(run, held), applyNft(run, gone), inside && applyNft(inside, gone)]);
}

/** All that there may be of it, for `removeAddress`. */
export function unprepared(move: AddressMove): LeavingAddress {
  const spec = addressHold(move);
  return { move, held: { spec, lanes: lanesOf(spec), how: 'queue' } };
}

/** As a crash may have left it. */
export async function leftBehind(run: Run, move: AddressMove): Promise<LeavingAddress> {
  const { held } = unprepared(move);
  const { devices } = await readNetwork(run);
  const lanes = held.lanes.filter(({ near }) => devices.some(({ name }) => name === near));
  return { move, held: { ...held, lanes, how: lanes.length > 0 ? 'queue' : 'drop' } };
}
