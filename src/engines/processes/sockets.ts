/** Pure: which of a workload's sockets CRIU cannot dump, by inode. */
import { formatEndpoint, type InetSocket, isLoopback, isWildcard, type UnixSocket } from '../../tools/proc-net.ts';
import type { ProcessFacts } from '../facts.ts';

type Obstacle = ProcessFacts['obstacles'][number];

/** The sockets of a network namespace, those of others included. */
export interface SocketTables {
  tcp: InetSocket[];
  udp: InetSocket[];
  unix: UnixSocket[];
  /** Sockets in use by protocol. */
  protocols: ReadonlyMap<string, number>;
  /** Inodes of MPTCP sockets. */
  mptcp: ReadonlySet<number>;
  /** Peers of unix sockets by inode; empty where that is not known. */
  unixPeers: ReadonlyMap<number, number>;
  /** Inodes of raw, packet and netlink sockets; only looked up where there are sockets of a strange protocol. */
  other: ReadonlySet<number>;
}

/** @param owned inodes of all sockets that the workload's processes hold */
export function socketObstacles(tables: SocketTables, owned: ReadonlySet<number>): Map<number, Obstacle[]> {
  const obstacles = new Map<number, Obstacle[]>();
  const add = (inode: number, ...found: Obstacle[]): void => {
    if (found.length > 0) obstacles.set(inode, [...(obstacles.get(inode) ?? []), ...found]);
  };
  for (const socket of tables.tcp) {
    if (owned.has(socket.inode)) add(socket.inode, ...tcpObstacles(socket, tables.mptcp.has(socket.inode)));
  }
  for (const socket of tables.udp) {
    if (owned.has(socket.inode)) add(socket.inode, ...boundAddress('udp', socket));
  }
  for (const socket of tables.unix) {
    if (owned.has(socket.inode)) add(socket.inode, ...unixObstacles(socket, tables, owned));
  }
  for (const [inode, obstacle] of unknownSockets(tables, owned)) add(inode, obstacle);
  return obstacles;
}

/** Whether the peers of unix sockets must be asked for: they are not in /proc. */
export function needsUnixPeers(unix: readonly UnixSocket[], owned: ReadonlySet<number>): boolean {
  return unix.some(({ inode, state }) => state === 'connected' && owned.has(inode));
}

export function needsMptcp(protocols: ReadonlyMap<string, number>): boolean {
  return (protocols.get('MPTCP') ?? 0) > 0 || (protocols.get('MPTCPv6') ?? 0) > 0;
}

function tcpObstacles(socket: InetSocket, isMptcp: boolean): Obstacle[] {
  const local = formatEndpoint(socket.local);
  if (isMptcp) return [{ kind: 'mptcp', detail: local }];
  if (socket.state === 'LISTEN') {
    const waiting: Obstacle = { kind: 'listen-backlog', detail: `${local}, ${socket.received} waiting` };
    return [...boundAddress('tcp', socket), ...(socket.received > 0 ? [waiting] : [])];
  }
  if (socket.state === 'CLOSE') return boundAddress('tcp', socket);
  return [{ kind: 'tcp-established', detail: `${local} to ${formatEndpoint(socket.remote)}` }];
}

/** The copy must have the same address, or CRIU cannot bind the socket there. */
function boundAddress(protocol: 'tcp' | 'udp', { local }: InetSocket): Obstacle[] {
  if (isWildcard(local) || isLoopback(local)) return [];
  return [{ kind: 'bound-address', detail: `${protocol} ${formatEndpoint(local)}` }];
}

function unixObstacles(socket: UnixSocket, { unix, unixPeers }: SocketTables, owned: ReadonlySet<number>): Obstacle[] {
  const peer = unixPeers.get(socket.inode) ?? 0;
  if (peer === 0 || owned.has(peer)) return [];
  const path = unix.find(({ inode }) => inode === peer)?.path;
  // A client whose connection was not accepted yet has a peer that nobody holds, on a listener of the workload.
  if (path !== undefined && unix.some((one) => one.path === path && owned.has(one.inode))) return [];
  return [{ kind: 'outside-unix-socket', detail: path ?? socket.path ?? `socket:[${socket.inode}]` }];
}

/** Names of protocols in use that CRIU does not know (criu/sockets.c, dump_socket). */
export function strangeProtocols(protocols: ReadonlyMap<string, number>): string[] {
  return [...protocols].filter(([name, count]) => count > 0 && !KNOWN.test(name)).map(([name]) => name);
}

const KNOWN = /^(TCP|UDP|UDPLITE|UDP-Lite|RAW|PING|MPTCP)(v6)?$|^(UNIX|UNIX-STREAM|PACKET|NETLINK)$/;

/**
 * Sockets of families that no table lists by inode. A plain socket that is not bound yet is in no table either, so
 * something is said only where the namespace is known to have strange sockets.
 */
function unknownSockets(tables: SocketTables, owned: ReadonlySet<number>): [number, Obstacle][] {
  const strange = strangeProtocols(tables.protocols);
  if (strange.length === 0) return [];
  const listed = new Set([...tables.tcp, ...tables.udp, ...tables.unix].map(({ inode }) => inode));
  const kind = strange.every((name) => /^(SCTP|DCCP)/.test(name)) ? 'sctp' : 'unsupported-socket';
  return [...owned]
    .filter((inode) => !listed.has(inode) && !tables.other.has(inode))
    .map((inode) => [inode, { kind, detail: strange.join(' or ') }]);
}
