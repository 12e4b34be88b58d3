/** Pure: which connections of a workload are open when it is frozen, from connection tracking and from its sockets. */
import type { TrackedFlow } from '../tools/conntrack.ts';
import type { InetSocket } from '../tools/proc-net.ts';
import type { Flow, WorkloadAddress } from './facts.ts';

export interface OpenConnections {
  /** Empty where the kernel has no connection tracking: then there was no NAT either. */
  tracked: readonly TrackedFlow[];
  /** TCP sockets of its network namespace: also those that came past connection tracking, by a forward. */
  sockets: readonly InetSocket[];
  addresses: readonly Pick<WorkloadAddress, 'address'>[];
  /** Ports that it listens on. */
  listening: readonly number[];
}

/** Connections in these states have nothing more to say. */
const OVER = new Set(['TIME_WAIT', 'CLOSE', 'TIME-WAIT', 'LISTEN', '']);

export function openFlows({ tracked, sockets, addresses, listening }: OpenConnections): Flow[] {
  const own = new Set(addresses.map(({ address }) => address));
  const flows = new Map<string, Flow>();
  for (const each of tracked) {
    const flow = fromTracked(each, own);
    if (flow !== null) flows.set(keyOf(flow), flow);
  }
  for (const { local, remote, state } of sockets) {
    const [address, peer] = [bare(local.host), bare(remote.host)];
    if (!own.has(address) || OVER.has(state)) continue;
    const by = listening.includes(local.port) ? ('peer' as const) : ('workload' as const);
    const flow: Flow = { protocol: 'tcp', address, port: local.port, peer, peerPort: remote.port, by };
    if (!flows.has(keyOf(flow))) flows.set(keyOf(flow), flow);
  }
  return [...flows.values()];
}

/**
 * Those that are this host's own to forward. What came by way of another host (`passing`) belongs to that one's forward,
 * though connection tracking has seen the answers on the bridge (bridge-nf-call-iptables).
 */
export function withoutPassing(flows: readonly Flow[], passing: readonly Flow[]): Flow[] {
  const keys = new Set(passing.map(keyOf));
  return flows.filter((flow) => !keys.has(keyOf(flow)));
}

/** Connections that came past connection tracking are known as a forward of this host's has them, `earlier`. */
export function knownFrom(earlier: readonly Flow[], flows: readonly Flow[]): Flow[] {
  const byKey = new Map(earlier.map((flow) => [keyOf(flow), flow]));
  return flows.map((flow) => (flow.known === undefined ? (byKey.get(keyOf(flow)) ?? flow) : flow));
}

function fromTracked({ protocol, state, original, reply }: TrackedFlow, own: ReadonlySet<string>): Flow | null {
  if (protocol === 'tcp' && OVER.has(state)) return null;
  if (own.has(reply.source)) {
    const direct = original.destination === reply.source && original.destinationPort === reply.sourcePort;
    return {
      protocol,
      address: reply.source,
      port: reply.sourcePort,
      // As the workload sees it.
      peer: reply.destination,
      peerPort: reply.destinationPort,
      ...(direct ? {} : { known: { address: original.destination, port: original.destinationPort } }),
      by: 'peer',
    };
  }
  if (!own.has(original.source)) return null;
  const direct = reply.destination === original.source && reply.destinationPort === original.sourcePort;
  return {
    protocol,
    address: original.source,
    port: original.sourcePort,
    peer: original.destination,
    peerPort: original.destinationPort,
    ...(direct ? {} : { known: { address: reply.destination, port: reply.destinationPort } }),
    by: 'workload',
  };
}

function keyOf({ protocol, address, port, peer, peerPort }: Flow): string {
  return [protocol, address, port, peer, peerPort].join(' ');
}

/** Sockets' addresses of IPv6 stand in brackets. */
function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}
