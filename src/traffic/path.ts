/** Tries whether packets that are forwarded get from one host to the other and back; see path-rules.ts. */
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../exec/run.ts';
import { applyIp, deleteDevices, readNetwork, setSysctls } from '../tools/ip-network.ts';
import { applyNft, readCounters, removeTable, replaceTable } from '../tools/nft.ts';
import { isTrialDevice } from './names.ts';
import {
  type Heard,
  PATH_PORT,
  PATH_SIZES,
  type PathEnd,
  type PathLane,
  type PathReport,
  pathLane,
  pathTable,
  pathTableName,
} from './path-rules.ts';
import { ensureTunnel } from './tunnel.ts';

export interface PathTools {
  run: Run;
  signal: AbortSignal;
  /** Sends a datagram of each size; default by this process. */
  send?: (lane: PathLane) => Promise<void>;
}

/** What became of the packets each way: undefined where none was sent, so that nothing is known. */
export interface PathResult {
  there: Heard | undefined;
  back: Heard | undefined;
}

const EVERY_MS = 30;
/** Also for the neighbour to be found, on both hosts. */
const ROUNDS = 3;
const PATIENCE_MS = 1000;
/** What the other host has sent last. */
const STRAGGLERS_MS = 40;

/**
 * The source's part: sends until the target has told what it heard (`ask`), and takes what the target sends meanwhile.
 * What it makes in the kernel is gone when it returns. @throws ProgramError where the kernel refuses
 */
export async function tryPath(tools: PathTools, end: PathEnd, ask: () => Promise<PathReport>): Promise<PathResult> {
  await using _ = await openEnd(tools, end);
  const asked = ask();
  let over = false;
  const ended = asked.then(
    () => (over = true),
    () => (over = true),
  );
  while (!over) {
    await send(tools, end);
    await Promise.race([ended, sleep(EVERY_MS)]);
  }
  const theirs = await asked;
  await sleep(STRAGGLERS_MS);
  const mine = await report(tools.run, end);
  return { there: mine.sent ? theirs.heard : undefined, back: theirs.sent ? mine.heard : undefined };
}

/** The target's part: sends some, and waits for what the source sends, though not long. @throws ProgramError */
export async function answerPath(tools: PathTools, end: PathEnd): Promise<PathReport> {
  await using _ = await openEnd(tools, end);
  const deadline = performance.now() + PATIENCE_MS;
  for (let round = 1; ; round++) {
    tools.signal.throwIfAborted();
    await send(tools, end);
    await sleep(EVERY_MS);
    const { sent, heard } = await report(tools.run, end);
    const all = heard.small && heard.large;
    if ((all && round >= ROUNDS) || performance.now() > deadline) return { sent, heard };
  }
}

/** What one that was killed has left. */
export async function removePaths(run: Run): Promise<void> {
  for (const role of ['source', 'target'] as const) await removeEnd(run, { role });
  const { devices } = await readNetwork(run);
  await deleteDevices(
    run,
    devices.flatMap(({ name }) => (isTrialDevice(name) ? [name] : [])),
  );
}

async function openEnd({ run }: PathTools, end: PathEnd): Promise<AsyncDisposable> {
  const { near, far, here, there } = pathLane(end.role);
  await deleteDevices(run, [near]);
  try {
    if (end.tunnel !== undefined) {
      const { devices } = await readNetwork(run);
      await ensureTunnel(
        run,
        end.tunnel,
        devices.map(({ name }) => name),
      );
    }
    await applyIp(run, [['link', 'add', near, 'type', 'veth', 'peer', 'name', far]]);
    await setSysctls(run, Object.fromEntries([near, far].map((name) => [`net.ipv6.conf.${name}.disable_ipv6`, '1'])));
    await applyIp(run, [
      ...[near, far].map((name) => ['link', 'set', name, 'up']),
      ['address', 'add', `${here}/30`, 'dev', near],
      ['neighbour', 'replace', there, 'lladdr', NOBODY, 'dev', near, 'nud', 'permanent'],
    ]);
    await applyNft(run, replaceTable(pathTable(end)));
  } catch (error) {
    await removeEnd(run, end);
    throw error;
  }
  return { [Symbol.asyncDispose]: () => removeEnd(run, end) };
}

const NOBODY = '02:d7:00:00:00:01';

async function removeEnd(run: Run, { role, tunnel }: Pick<PathEnd, 'role' | 'tunnel'>): Promise<void> {
  await applyNft(run, removeTable({ family: 'netdev', name: pathTableName(role) }));
  await deleteDevices(run, [pathLane(role).near, ...(tunnel === undefined ? [] : [tunnel.device])]);
}

async function report(run: Run, { role }: PathEnd): Promise<PathReport> {
  const counters = await readCounters(run, 'netdev', pathTableName(role));
  const came = (name: string): boolean => counters.some((one) => one.name === name && one.packets > 0);
  return { sent: came('sent'), heard: { small: came('small'), large: came('large') } };
}

async function send({ send: otherwise = sendDatagrams }: PathTools, { role }: PathEnd): Promise<void> {
  await otherwise(pathLane(role));
}

/** A packet filter of this host may refuse it; the counters tell. */
async function sendDatagrams({ here, there }: PathLane): Promise<void> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(0, here, resolve));
    for (const bytes of Object.values(PATH_SIZES)) {
      await new Promise<void>((resolve) => socket.send(Buffer.alloc(bytes), PATH_PORT, there, () => resolve()));
    }
  } catch {
    // Not sent: that is what the counters say.
  } finally {
    socket.close();
  }
}
