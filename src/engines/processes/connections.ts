/** A workload's TCP connections, as its network namespace shows them. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Endpoint,
  formatEndpoint,
  type InetSocket,
  isLoopback,
  parseBacklogs,
  parseInetSockets,
} from '../../tools/proc-net.ts';

export interface Connection {
  local: Endpoint;
  remote: Endpoint;
}

/** Nobody holds these sockets: what the kernel ends by itself does not move. */
const WITHOUT_SOCKET: readonly InetSocket['state'][] = ['LISTEN', 'CLOSE', 'TIME-WAIT', 'SYN-RECV', 'NEW-SYN-RECV'];
const POLL_MS = 2;

/**
 * Connections to peers outside, in any state that moves with the workload; none where the process has ended.
 * @param pid of one of its processes, on this host
 */
export async function connectionsOf(pid: number): Promise<Connection[]> {
  return outsideConnections(await tcpSockets(pid));
}

export function outsideConnections(sockets: readonly InetSocket[]): Connection[] {
  return sockets
    .filter(({ state, local }) => !WITHOUT_SOCKET.includes(state) && !isLoopback(local))
    .map(({ local, remote }) => ({ local, remote }));
}

export interface Patience {
  /** For clients to answer in a handshake that is younger than 1 s, after which they are asked again. */
  answerMs: number;
  /** For the program to accept, since it did so last. */
  acceptMs: number;
  /** For handshakes that found the queue full: kernels and clients try them again at growing intervals. */
  againMs: number;
  /** For all of it: nobody gets a new connection meanwhile. */
  limitMs: number;
}

export interface Settled {
  /** What still waits to be accepted; empty where all is well. */
  waiting: string[];
  /** Handshakes that their clients left unanswered. */
  unanswered: number;
}

/** What waits for longer than this, waits for the program, and its queue may be full. */
const BRIEFLY_MS = 50;

/**
 * Waits until no handshake is under way and every connection has been accepted: CRIU takes connections that a process
 * holds, and no others. To be called while new ones are held back and the workload still runs. A program that accepts
 * slowly gets its time, for as long as its queue gets shorter: who is held back would stand at its end anyway.
 */
export async function settleHandshakes(pid: number, patience: Patience, signal?: AbortSignal): Promise<Settled> {
  const slow = new Set<number>();
  const young = new Set<string>();
  const began = performance.now();
  for (let best = { left: Number.POSITIVE_INFINITY, at: began }; ; await sleep(POLL_MS, undefined, { signal })) {
    const now = performance.now();
    const { handshakes, queues } = unsettled(await tcpSockets(pid));
    if (now - began > BRIEFLY_MS) for (const port of queues.keys()) slow.add(port);
    for (const { client, repeats } of handshakes) if (repeats === 0) young.add(client);
    const stuck = handshakes.filter(({ port }) => slow.has(port));
    const left = sum(queues.values()) + stuck.length;
    if (left < best.left) best = { left, at: now };
    const answering = now - began < patience.answerMs && handshakes.some(({ client }) => young.has(client));
    if (left === 0 && !answering) return { waiting: [], unanswered: handshakes.length };
    if (left === 0) continue;
    const enough = queues.size > 0 ? patience.acceptMs : patience.againMs;
    if (now - best.at > enough || now - began > patience.limitMs) {
      return { waiting: describe(queues, stuck), unanswered: handshakes.length };
    }
  }
}

export interface Unsettled {
  /** `repeats`: how often the client was asked again. */
  handshakes: { port: number; client: string; repeats: number }[];
  /** Connections to be accepted, by port. */
  queues: Map<number, number>;
}

export function unsettled(sockets: readonly InetSocket[]): Unsettled {
  const queues = new Map<number, number>();
  for (const { state, received, local } of sockets) {
    if (state === 'LISTEN' && received > 0) queues.set(local.port, (queues.get(local.port) ?? 0) + received);
  }
  const handshakes = sockets
    .filter(({ state }) => state === 'SYN-RECV' || state === 'NEW-SYN-RECV')
    .map(({ local, remote, repeats }) => ({ port: local.port, client: formatEndpoint(remote), repeats }));
  return { handshakes, queues };
}

function describe(queues: Unsettled['queues'], stuck: Unsettled['handshakes']): string[] {
  const ports = new Set([...queues.keys(), ...stuck.map(({ port }) => port)]);
  return [...ports].map((port) => {
    const count = (queues.get(port) ?? 0) + stuck.filter((one) => one.port === port).length;
    return `${count} at port ${port}`;
  });
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((all, one) => all + one, 0);
}

/**
 * Waits until what has come by UDP is read: CRIU leaves it behind. To be called while all packets are held back; a program
 * that does not read is not waited for long.
 */
export async function settleDatagrams(pid: number, patienceMs: number): Promise<void> {
  await untilPassedOn(patienceMs);
  for (const began = performance.now(); performance.now() - began < patienceMs; await sleep(POLL_MS)) {
    if ((await sockets(pid, ['udp', 'udp6'])).every(({ received }) => received === 0)) return;
  }
}

/**
 * Waits until packets that are between two devices of this host have got there: on a busy host a processor may not have
 * come to them for milliseconds. Each is to have been seen without any.
 */
export async function untilPassedOn(patienceMs: number): Promise<void> {
  let busy: number[] | undefined;
  for (const began = performance.now(); performance.now() - began < patienceMs; await sleep(POLL_MS)) {
    const backlogs = parseBacklogs(await readFile('/proc/net/softnet_stat', 'utf8').catch(() => ''));
    busy = backlogs.filter((one) => busy?.includes(one) ?? true);
    if (busy.length === 0) return;
  }
}

function tcpSockets(pid: number): Promise<InetSocket[]> {
  return sockets(pid, ['tcp', 'tcp6']);
}

async function sockets(pid: number, tables: readonly string[]): Promise<InetSocket[]> {
  const read = tables.map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => ''));
  return (await Promise.all(read)).flatMap(parseInetSockets);
}
