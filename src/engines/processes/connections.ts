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

export interface Patience {
  /** For handshakes that are under way: a client may never end its own. */
  handshakesMs: number;
  /** For connections to be accepted. */
  acceptMs: number;
}

/**
 * Waits until no handshake is under way and every connection has been accepted: CRIU takes connections that a process
 * holds, and no others. To be called while new ones are held back and the workload still runs.
 * @returns what is not accepted when the patience is at its end, empty where all is well
 */
export async function settleHandshakes(pid: number, { handshakesMs, acceptMs }: Patience): Promise<string[]> {
  for (const began = performance.now(); ; await sleep(POLL_MS)) {
    const waited = performance.now() - began;
    const { handshakes, waiting } = unsettled(await tcpSockets(pid));
    if (waiting.length === 0 && (handshakes === 0 || waited > handshakesMs)) return [];
    if (waited > acceptMs) return waiting;
  }
}

export function unsettled(sockets: readonly InetSocket[]): { handshakes: number; waiting: string[] } {
  return {
    handshakes: sockets.filter(({ state }) => state === 'SYN-RECV' || state === 'NEW-SYN-RECV').length,
    waiting: sockets
      .filter(({ state, received }) => state === 'LISTEN' && received > 0)
      .map(({ local, received }) => `${received} at port ${local.port}`),
  };
}

async function tcpSockets(pid: number): Promise<InetSocket[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '')),
  );
  return tables.flatMap(parseInetSockets);
}
