/** ss of iproute2: what only the kernel's socket diagnosis tells, from inside a network namespace. */
import type { Run } from '../exec/run.ts';

export interface SsOptions {
  run: Run;
  signal: AbortSignal;
  /** Whose network namespace. */
  pid: number;
}

/** Pairs of unix socket inodes, both directions; 0 as the peer where there is none. */
export async function unixPeers(options: SsOptions): Promise<Map<number, number>> {
  return parseUnixPeers(await ss(options, ['--unix', '--all', '--numeric']));
}

/** Inodes of MPTCP sockets; their subflows stand in /proc/P/net/tcp under the same inode, as if they were plain TCP. */
export async function mptcpInodes(options: SsOptions): Promise<Set<number>> {
  return parseInodes(await ss(options, ['--mptcp', '--all', '--numeric', '--extended']));
}

/** `u_str ESTAB 0 0 /run/x.sock 124771 * 120824` */
export function parseUnixPeers(text: string): Map<number, number> {
  const peers = new Map<number, number>();
  for (const line of text.split('\n')) {
    const match = /^\S+\s+\S+\s+\d+\s+\d+\s+.*?\s(\d+)\s+\S.*?\s(\d+)\s*$/.exec(line);
    if (match !== null) peers.set(Number(match[1]), Number(match[2]));
  }
  return peers;
}

/** `LISTEN 0 5 0.0.0.0:7001 0.0.0.0:* ino:120813 sk:21c <->` */
export function parseInodes(text: string): Set<number> {
  return new Set([...text.matchAll(/\bino:(\d+)/g)].map(([, inode]) => Number(inode)));
}

async function ss({ run, signal, pid }: SsOptions, args: readonly string[]): Promise<string> {
  const { stdout } = await run('nsenter', ['--target', String(pid), '--net', 'ss', '--no-header', ...args], { signal });
  return stdout;
}
