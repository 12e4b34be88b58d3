/** What the kernel's connection tracking knows: pure parser of /proc/net/nf_conntrack and of `conntrack -L`. */

export interface TrackedEnd {
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
 * `ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… [ASSURED] mark=0 use=1`;
 * conntrack leaves out the two leading words.
 */
export function parseConntrack(text: string): TrackedFlow[] {
  return text.split('\n').flatMap((line) => {
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
    const state = /\s\d+\s+([A-Z_0-9]+)\s+src=/.exec(line)?.[1] ?? '';
    return [{ protocol: protocol as 'tcp' | 'udp', state, original, reply }];
  });
}

/** /proc writes IPv6 addresses in full: `fd00:0000:…`. */
function shortAddress(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}
