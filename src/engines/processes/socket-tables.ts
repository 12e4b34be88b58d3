/** Reads the sockets of a workload's network namespace, and asks ss only for what /proc does not tell. */
import { readFile } from 'node:fs/promises';
import { ProgramError, type Run } from '../../exec/run.ts';
import { parseInetSockets, parseLastInodes, parseProtocols, parseUnixSockets } from '../../tools/proc-net.ts';
import { mptcpInodes, unixPeers } from '../../tools/ss.ts';
import { needsMptcp, needsUnixPeers, type SocketTables, strangeProtocols } from './sockets.ts';

export interface ReadSocketTables {
  proc: string;
  /** Whose namespace. */
  pid: number;
  /** Inodes of the sockets that the workload's processes hold. */
  owned: ReadonlySet<number>;
  run: Run;
  signal: AbortSignal;
}

export async function readSocketTables({ proc, pid, owned, run, signal }: ReadSocketTables): Promise<SocketTables> {
  if (owned.size === 0) return NO_SOCKETS;
  // Empty where the kernel lacks the protocol, or the process has ended.
  const text = (name: string): Promise<string> => readFile(`${proc}/${pid}/net/${name}`, 'utf8').catch(() => '');
  const [tcp, tcp6, udp, udp6, unixText, protocolsText] = await Promise.all(
    ['tcp', 'tcp6', 'udp', 'udp6', 'unix', 'protocols'].map(text),
  );
  const unix = parseUnixSockets(unixText ?? '');
  const protocols = parseProtocols(protocolsText ?? '');
  const others = strangeProtocols(protocols).length === 0 ? [] : ['raw', 'raw6', 'netlink', 'packet'];
  const [peers, mptcp, [raw = '', raw6 = '', netlink = '', packet = '']] = await Promise.all([
    needsUnixPeers(unix, owned) ? unixPeers({ run, signal, pid }).catch(orUnknown) : [],
    needsMptcp(protocols) ? mptcpInodes({ run, signal, pid }).catch(orUnknown) : [],
    Promise.all(others.map(text)),
  ]);
  return {
    tcp: [...parseInetSockets(tcp ?? ''), ...parseInetSockets(tcp6 ?? '')],
    udp: [...parseInetSockets(udp ?? ''), ...parseInetSockets(udp6 ?? '')],
    unix,
    protocols,
    mptcp: new Set(mptcp),
    unixPeers: new Map(peers),
    other: new Set([
      ...[...parseInetSockets(raw), ...parseInetSockets(raw6)].map(({ inode }) => inode),
      ...parseLastInodes(netlink),
      ...parseLastInodes(packet),
    ]),
  };
}

/**
 * Where ss or nsenter is missing (which preflight says of the host) or the process has ended, these two obstacles are
 * not seen beforehand: CRIU will refuse them, and the workload runs on.
 */
function orUnknown(error: unknown): never[] {
  if (error instanceof ProgramError) return [];
  throw error;
}

const NO_SOCKETS: SocketTables = {
  tcp: [],
  udp: [],
  unix: [],
  protocols: new Map(),
  mptcp: new Set(),
  unixPeers: new Map(),
  other: new Set(),
};
