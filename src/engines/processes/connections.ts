/** A workload's TCP connections, as its network namespace shows them. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Endpoint, type InetSocket, isLoopback, parseInetSockets } from '../../tools/proc-net.ts';

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

/**
 * Waits until no handshake is under way and every connection has been accepted: CRIU takes connections that a process
 * holds, and no others. To be called while new ones are held back and the workload still runs.
 * @returns what is left when the patience is at its end, empty where all is well
 */
export async function settleHandshakes(pid: number, patienceMs: number): Promise<string[]> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const left = unsettled(await tcpSockets(pid));
    if (left.length === 0 || performance.now() > until) return left;
    await sleep(POLL_MS);
  }
}

export function unsettled(sockets: readonly InetSocket[]): string[] {
  return sockets.flatMap(({ state, local, remote, received }) => {
    if (state === 'LISTEN' && received > 0) return [`${received} not accepted yet at port ${local.port}`];
    if (state === 'SYN-RECV' || state === 'NEW-SYN-RECV') return [`a handshake with ${remote.host}`];
    return [];
  });
}

async function tcpSockets(pid: number): Promise<InetSocket[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
  );
  return tables.flatMap(parseInetSockets);
}
