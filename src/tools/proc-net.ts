/** What /proc/P/net says of the sockets of a network namespace: pure parsers of its text. */

export interface Endpoint {
  /** Dotted for IPv4 (also where it stands in an IPv6 socket), in brackets for IPv6. */
  host: string;
  port: number;
}

/** The kernel's TCP states (include/net/tcp_states.h); UDP uses 1 where connected and 7 where not. */
const STATES = [
  '',
  'ESTABLISHED',
  'SYN-SENT',
  'SYN-RECV',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'TIME-WAIT',
  'CLOSE',
  'CLOSE-WAIT',
  'LAST-ACK',
  'LISTEN',
  'CLOSING',
  'NEW-SYN-RECV',
] as const;
export type SocketState = (typeof STATES)[number];

export interface InetSocket {
  local: Endpoint;
  remote: Endpoint;
  state: SocketState;
  /** Bytes to be read; of a listening socket, connections to be accepted. */
  received: number;
  /** How often the kernel has sent something again, of late; of a handshake, its answer to the client. */
  repeats: number;
  /** 0 for connections that no process holds: not yet accepted, or closed already. */
  inode: number;
}

/** In the column of states, and nowhere else: other numbers of two digits are part of longer words. */
const TIME_WAIT = ' 06 ';

/**
 * `tcp`, `tcp6`, `udp`, `udp6`. Connections in TIME-WAIT are left out: no process holds them, a busy server has
 * thousands, and clients wait while this is read.
 */
export function parseInetSockets(text: string): InetSocket[] {
  const sockets: InetSocket[] = [];
  for (const line of text.split('\n').slice(1)) {
    if (line.includes(TIME_WAIT)) continue;
    const [, local = '', remote = '', state = '', queues = '', , repeats = '', , , inode = ''] = line
      .trim()
      .split(/\s+/);
    if (local === '') continue;
    sockets.push({
      local: parseEndpoint(local),
      remote: parseEndpoint(remote),
      state: STATES[Number.parseInt(state, 16)] ?? '',
      received: Number.parseInt(queues.split(':')[1] ?? '0', 16),
      repeats: Number.parseInt(repeats, 16),
      inode: Number(inode),
    });
  }
  return sockets;
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

export function isWildcard({ host }: Endpoint): boolean {
  return host === '0.0.0.0' || host === '[::]';
}

export function isLoopback({ host }: Endpoint): boolean {
  return host.startsWith('127.') || host === '[::1]';
}

export interface UnixSocket {
  inode: number;
  state: 'free' | 'unconnected' | 'connecting' | 'connected' | 'disconnecting';
  /** With a leading `@` where it is abstract; absent where it has no name. */
  path?: string;
}

const UNIX_STATES = ['free', 'unconnected', 'connecting', 'connected', 'disconnecting'] as const;

/** `unix` */
export function parseUnixSockets(text: string): UnixSocket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const match = /^\S+ +\S+ +\S+ +\S+ +\S+ +(\d\d) +(\d+)(?: (.*))?$/.exec(line);
      if (match === null) return [];
      const [, state = '', inode = '', path] = match;
      const known = { inode: Number(inode), state: UNIX_STATES[Number(state)] ?? 'free' };
      return [path === undefined ? known : { ...known, path }];
    });
}

/** `netlink`, `packet`: inodes, which stand last in a line. */
export function parseLastInodes(text: string): number[] {
  return text
    .split('\n')
    .slice(1)
    .filter(Boolean)
    .map((line) => Number(line.trim().split(/\s+/).at(-1)));
}

/** `protocols`: how many sockets of each are in use in this namespace; -1 where the kernel does not count them. */
export function parseProtocols(text: string): Map<string, number> {
  const rows = text.split('\n').slice(1).filter(Boolean);
  return new Map(rows.map((row) => row.split(/\s+/)).map(([name = '', , sockets = '0']) => [name, Number(sockets)]));
}

/**
 * `softnet_stat`: processors, by their row, that have packets which were received and not yet looked at; kernels before
 * 5.10 do not tell (net/core/net-procfs.c, softnet_seq_show).
 */
export function parseBacklogs(text: string): number[] {
  const rows = text.split('\n').filter(Boolean);
  return rows.flatMap((row, index) => (Number.parseInt(row.split(' ')[11] ?? '0', 16) > 0 ? [index] : []));
}

/** Hexadecimal words in the machine's byte order, a colon, the port: `0100007F:1F90` on a little-endian machine. */
function parseEndpoint(text: string): Endpoint {
  const [address = '', port = ''] = text.split(':');
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) =>
    [6, 4, 2, 0].map((at) => Number.parseInt(word.slice(at, at + 2), 16)),
  );
  return { host: bytes.length === 4 ? bytes.join('.') : formatIPv6(bytes), port: Number.parseInt(port, 16) };
}

function formatIPv6(bytes: readonly number[]): string {
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes.slice(12).join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  // A URL's host is serialised with the longest run of zeros left out, as RFC 5952 has it.
  return new URL(`http://[${words.map((word) => word.toString(16)).join(':')}]/`).hostname;
}
