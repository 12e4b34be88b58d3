/**
 * Holding a workload's packets from before its dump until it is decided where it runs. Every step may be repeated;
 * `remove` undoes all of them, at any time.
 */
import { ProgramError, type Run } from '../exec/run.ts';
import { applyIp, deleteDevices, setSysctls } from '../tools/ip-network.ts';
import { applyNft, readCounters, removeTable, replaceTable } from '../tools/nft.ts';
import {
  applyTc,
  handOver,
  keepHere,
  openQueue,
  queueState,
  shutQueue,
  type TcCommand,
  takeFilters,
} from '../tools/tc.ts';
import {
  type HoldSpec,
  holdTable,
  type Lane,
  lanesOf,
  sealName,
  sealRule,
  sealTable,
  takingRules,
  unsealRules,
} from './hold-rules.ts';
import { tableName } from './names.ts';

export interface Hold {
  spec: HoldSpec;
  lanes: Lane[];
  /** Whether packets wait, or, where the kernel cannot do that, are dropped and sent again by their senders. */
  how: 'queue' | 'drop';
}

/** Makes the queues, and tables that take nothing yet; no packet goes there. Undo: `removeHold`. */
export async function prepareHold(run: Run, spec: HoldSpec): Promise<Hold> {
  const lanes = lanesOf(spec);
  const how = await makeQueues(run, lanes);
  const tables = [holdTable(spec, lanes), sealTable(spec.id, portsOf(lanes))];
  await applyNft(run, tables.map(replaceTable).join('\n'));
  return { spec, lanes, how };
}

/** From now on packets that open a connection wait. Undo: `releaseToSource`. */
export async function holdNew(run: Run, { spec, lanes, how }: Hold): Promise<void> {
  await applyNft(run, takingRules(spec, lanes, { how, what: 'new' }));
}

/** From now on all packets wait; `flows` of its spec are those of just before. Undo: `releaseToSource`. */
export async function hold(run: Run, { spec, lanes, how }: Hold): Promise<void> {
  await applyNft(run, takingRules(spec, lanes, { how, what: 'all' }));
}

/** From now on, when the workload is frozen, its kernel is silent. Undo: `unseal`, before the workload goes on. */
export async function seal(run: Run, { spec, lanes }: Hold): Promise<void> {
  if (portsOf(lanes).length > 0) await applyNft(run, sealRule(spec.id));
}

export async function unseal(run: Run, { spec }: Hold): Promise<void> {
  await applyNft(run, unsealRules(spec.id));
}

/** The workload goes on here: what waited comes in as if it had just been received. */
export async function releaseToSource(run: Run, held: Hold): Promise<void> {
  if (held.how === 'queue') {
    const { lanes } = held;
    const here = lanes.map(({ far, device, kind }) => handOver(far, device, kind === 'uplink' ? 'ingress' : 'egress'));
    await openQueues(run, lanes, here);
    await applyNft(run, removeTable({ family: 'netdev', name: tableName('hold', held.spec.id) }));
    await underWay();
  }
  await removeHold(run, held);
}

/**
 * Puts the rules in place by which `releaseToTarget` will have packets forwarded; the hold comes first still. Before the
 * workload is let go on the target, so that nothing but the queues is to be opened then. Undo: `removeSource`.
 */
export async function armTarget(run: Run, rules: string): Promise<void> {
  await applyNft(run, rules);
}

/** The workload goes on there: what waited is forwarded, and what comes now follows it by the same queues. */
export async function releaseToTarget(run: Run, { lanes, how }: Hold): Promise<void> {
  if (how === 'drop') return;
  await openQueues(
    run,
    lanes,
    lanes.map(({ far }) => keepHere(far)),
  );
}

/**
 * After `releaseToTarget`, and when neighbours find the stand-in (`finishSource`): `rest` (rules for those that the hold
 * does not concern) takes over, and nothing that the frozen copy's sockets still send gets out any more, so that it can
 * be killed. The devices stay, for rules name them, until `removeHold`.
 */
export async function endHold(run: Run, { spec }: Hold, rest: string, present: readonly string[]): Promise<void> {
  const over = removeTable({ family: 'netdev', name: tableName('hold', spec.id) });
  const ports = portsOf(lanesOf(spec)).filter((port) => present.includes(port));
  const sealed = ports.length === 0 ? [] : [replaceTable(sealTable(spec.id, ports)), sealRule(spec.id)];
  await applyNft(run, [rest, ...sealed, over].join('\n'));
}

/** Removes all that a hold has made; packets that wait in it are lost, so `release` comes before. */
export async function removeHold(run: Run, { spec, lanes }: Pick<Hold, 'spec' | 'lanes'>): Promise<void> {
  const name = tableName('hold', spec.id);
  const tables = [name, sealName(spec.id)].map((each) => removeTable({ family: 'netdev', name: each }));
  await applyNft(run, tables.join('\n'));
  await deleteDevices(
    run,
    lanes.map(({ near }) => near),
  );
}

export interface Held {
  packets: number;
  bytes: number;
  /** Beyond what the queues take, or where there are none. */
  dropped: number;
}

/** What it has kept back so far. */
export async function readHold(run: Run, { spec, lanes, how }: Hold): Promise<Held> {
  const counters = await readCounters(run, 'netdev', tableName('hold', spec.id));
  const { packets = 0, bytes = 0 } = counters.find(({ name }) => name === 'held') ?? {};
  if (how === 'drop') return { packets, bytes, dropped: packets };
  const queues = await Promise.all(lanes.map(({ near }) => queueState(run, near)));
  return { packets, bytes, dropped: queues.reduce((sum, queue) => sum + (queue?.dropped ?? 0), 0) };
}

function portsOf(lanes: readonly Lane[]): string[] {
  return lanes.flatMap(({ kind, device }) => (kind === 'port' ? [device] : []));
}

/** @returns whether packets can wait there, or are to be dropped */
async function makeQueues(run: Run, lanes: readonly Lane[]): Promise<Hold['how']> {
  const near = lanes.map((lane) => lane.near);
  await deleteDevices(run, near);
  try {
    await makeLanes(run, lanes);
    return 'queue';
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    await deleteDevices(run, near);
    return 'drop';
  }
}

async function makeLanes(run: Run, lanes: readonly Lane[]): Promise<void> {
  await applyIp(
    run,
    lanes.map(({ near, far }) => ['link', 'add', near, 'type', 'veth', 'peer', 'name', far]),
  );
  // They are to carry what is put into them, and nothing of the kernel's own.
  const quiet = lanes.flatMap(({ near, far }) => [near, far]);
  await setSysctls(run, Object.fromEntries(quiet.map((device) => [`net.ipv6.conf.${device}.disable_ipv6`, '1'])));
  await applyTc(
    run,
    lanes.flatMap(({ near, far }) => [shutQueue(near), takeFilters(far), handOver(far, near, 'egress')]),
  );
  await applyIp(
    run,
    quiet.map((device) => ['link', 'set', device, 'up']),
  );
}

/** The kernel looks at a queue when a packet comes: a neighbour is asked for that nobody is. */
async function openQueues(run: Run, lanes: readonly Lane[], outlets: readonly TcCommand[]): Promise<void> {
  await applyTc(run, [...outlets, ...lanes.map(({ near }) => openQueue(near))]);
  const nobody = ['neighbour', 'replace', '169.254.231.2', 'dev'];
  await applyIp(
    run,
    lanes.map(({ near }) => [...nobody, near, 'nud', 'none', 'use']),
  );
  await untilEmpty(run, lanes);
}

/** What left the queue is received a moment later, on another processor perhaps; it would be lost with its device. */
function underWay(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

/** Only what is read from the kernel tells that all is through; it takes about a millisecond. */
async function untilEmpty(run: Run, lanes: readonly Lane[]): Promise<void> {
  for (let look = 0; look < 20; look++) {
    const queues = await Promise.all(lanes.map(({ near }) => queueState(run, near)));
    if (queues.every((queue) => (queue?.waiting ?? 0) === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
