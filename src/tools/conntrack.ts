/** What the kernel's connection tracking knows, by /proc/net/nf_conntrack or, where that is not built in, conntrack. */
import { ProgramError, type Run } from '../exec/run.ts';

interface TrackedEnd {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
}

export interface TrackedFlow {
  protocol: 'tcp' | 'udp';
  /** `ESTABLISHED`, `SYN_SENT` …; empty for UDP. */
  state: string;
  /** As its first packet came. */
  original: TrackedEnd;
  /** As answers come: swapped, and changed by NAT. */
  reply: TrackedEnd;
}

/**
 * The flows of some addresses that are not over; null where neither way is there. Tables may be large: they are sifted
 * before they are read.
 */
export async function trackedFlows(run: Run, addresses: readonly string[]): Promise<TrackedFlow[] | null> {
  const patterns = addresses.flatMap((address) => [
    ...['-e', `src=${inFull(address)} `],
    ...['-e', `dst=${inFull(address)} `],
  ]);
  if (patterns.length === 0) return [];
  const limit = { timeoutMs: 20_000 };
  const sifted = await run('grep', ['-F', ...patterns, '/proc/net/nf_conntrack'], { ...limit, okCodes: [0, 1, 2] });
  if (sifted.code !== 2) return parseConntrack(sifted.stdout);
  try {
    const lists = await Promise.all(
      (['ipv4', 'ipv6'] as const).map((family) => run('conntrack', ['-L', '-f', family], limit)),
    );
    const wanted = new Set(addresses);
    return lists
      .flatMap(({ stdout }) => parseConntrack(stdout))
      .filter(({ original, reply }) => wanted.has(original.source) || wanted.has(reply.source));
  } catch (error) {
    if (error instanceof ProgramError) return null;
    throw error;
  }
}

/**
 * `ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… [ASSURED] mark=0 use=1`;
 * conntrack leaves out the two leading words. What is over is left out: of a busy server there are thousands, and
 * clients wait while this is read.
 */
export function parseConntrack(text: string): TrackedFlow[] {
  return text.split('\n').flatMap((line) => {
    if (line.includes(' TIME_WAIT src=') || line.includes(' CLOSE src=')) return [];
    const protocol = /^(?:ipv[46]\s+\d+\s+)?(tcp|udp)\s+\d+\s+/.exec(line)?.[1];
    if (protocol === undefined) return [];
    const ends = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)].map(
      ([, source = '', destination = '', sourcePort, destinationPort]) => ({
        source: shortAddress(source),
        destination: shortAddress(destination),
        sourcePort: Number(sourcePort),
        destinationPort: Number(destinationPort),
      }),
    );
    const [original, reply] = ends;
    if (original === undefined || reply === undefined) return [];
    const state = /\s\d+\s+([A-Z][A-Z_0-9]*)\s+src=/.exec(line)?.[1] ?? '';
    return [{ protocol: protocol as 'tcp' | 'udp', state, original, reply }];
  });
}

/** As /proc writes addresses: those of IPv6 in eight groups of four digits. */
function inFull(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [front, back] = [groups(head), groups(tail)];
  const zeros = address.includes('::') ? Array.from({ length: 8 - front.length - back.length }, () => '0') : [];
  return [...front, ...zeros, ...back].map((group) => group.padStart(4, '0')).join(':');
}

/** /proc writes IPv6 addresses in full: `fd00:0000:…`. */
function shortAddress(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}
