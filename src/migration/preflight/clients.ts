/** Who reaches the workload, whom it reaches, and what of its addresses and ports is somebody else's on the target. */
import { contains, familyOf } from '../../traffic/address.ts';
import { routeTo } from '../../traffic/routes.ts';
import type { Finding } from '../finding.ts';
import { type Entry, raising } from './finding-table.ts';
import type { TrafficCase } from './traffic.ts';

export function checkClients(c: TrafficCase): Finding[] {
  return [...addressFindings(c), ...portFindings(c), ...routeFindings(c), ...localFindings(c)];
}

export const CLIENT_FINDINGS = {
  ADDRESS_FORWARDED: {
    severity: 'blocks',
    meaning: 'That workload was on the target before, and what comes for it there is sent on to where it is now.',
    remedy: 'Remove that forward if nothing needs it any more (drayage forwards rm, on the target).',
  },
  PORT_FORWARDED: {
    severity: 'blocks',
    meaning: 'That workload was on the target before: clients of this port would go on being sent after it.',
    remedy: 'Remove that forward if nothing needs it any more (drayage forwards rm, on the target).',
  },
  NO_ROUTE_BACK: {
    severity: 'costs',
    meaning:
      'Answers to clients leave by the source as before, but by its main routing table only, in which there is no way to them: their connections stall.',
    remedy: 'Add the route to the main table of the source (ip route), beside the one by policy (ip rule).',
  },
  NO_ROUTE_THERE: {
    severity: 'costs',
    meaning:
      'Connections that are open now go on by way of the source; new ones leave from the target itself, and fail.',
    remedy: 'Give the target a route to it (ip route).',
  },
  PEERS_LOSE_NAME: {
    severity: 'costs',
    meaning:
      "They go on reaching it by its address, but Docker's name service knows only the containers of its own host: new lookups of its name fail.",
    remedy: 'Give them the address (--add-host), or move them, too.',
  },
  PROXY_ENDS: {
    severity: 'note',
    meaning:
      'Where Docker does not translate IPv6 its own proxy takes these clients in, and it ends with the container: their connections end, and where the container has no IPv6 address new ones are refused at the source.',
    remedy:
      'Have them use IPv4, or give the container a network with IPv6 (--ipv6; before Docker 27 also "ip6tables" in daemon.json).',
  },
  LOOPBACK_NOT_FOLLOWED: {
    severity: 'note',
    meaning:
      "Docker's own proxy answers 127.0.0.1 and ends with the container; programs on the source reach the workload by any other address of the host.",
    remedy: "Use the host's address instead of 127.0.0.1 or localhost there.",
  },
} as const satisfies Record<string, Entry>;

const raise = raising(CLIENT_FINDINGS);

function addressFindings({ name, workload, target, addresses }: TrafficCase): Finding[] {
  const forwarded = ofOthers(target, workload);
  return addresses.flatMap(({ address }) => {
    const forward = forwarded.find((one) => one.addresses.includes(address));
    if (forward === undefined) return [];
    const message = `${address} of ${name} is forwarded for ${forward.workload} on ${target.hostname}.`;
    return [raise('ADDRESS_FORWARDED', message)];
  });
}

function portFindings({ workload, target, published }: TrafficCase): Finding[] {
  return ofOthers(target, workload).flatMap((forward) => {
    const taken = published.filter((port) => forward.published.some((other) => clash(port, other)));
    const ports = [...new Set(taken.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`))];
    if (ports.length === 0) return [];
    return [
      raise('PORT_FORWARDED', `Port ${ports.join(', ')} of ${target.hostname} is forwarded for ${forward.workload}.`),
    ];
  });
}

/** What the workload itself has left there ends as it comes home. */
function ofOthers({ traffic }: TrafficCase['target'], workload: string): TrafficCase['target']['traffic']['forwards'] {
  return traffic.forwards.filter((one) => one.workload !== workload);
}

type Port = TrafficCase['published'][number];

function clash(one: Port, other: Port): boolean {
  return (
    one.protocol === other.protocol &&
    one.hostPort === other.hostPort &&
    familyOf(one.address) === familyOf(other.address) &&
    (one.hostAddress === undefined || other.hostAddress === undefined || one.hostAddress === other.hostAddress)
  );
}

function routeFindings({ name, source, target, addresses, clients, servers }: TrafficCase): Finding[] {
  const isOutside = (address: string): boolean =>
    !address.startsWith('fe80:') && !addresses.some(({ subnet }) => contains(subnet, address));
  const lost = (peers: readonly string[], { traffic: { network } }: TrafficCase['source']): string[] =>
    peers.filter((peer) => isOutside(peer) && !isOwn(peer, network) && routeTo(network.routes, peer) === undefined);
  const [unanswered, unreached] = [lost(clients, source), lost(servers, target)];
  return [
    ...(unanswered.length === 0
      ? []
      : [raise('NO_ROUTE_BACK', `${source.hostname} has no route to clients of ${name}: ${told(unanswered)}.`)]),
    ...(unreached.length === 0
      ? []
      : [
          raise(
            'NO_ROUTE_THERE',
            `${target.hostname} has no route to what ${name} is connected to: ${told(unreached)}.`,
          ),
        ]),
  ];
}

function isOwn(address: string, { devices }: TrafficCase['source']['traffic']['network']): boolean {
  return devices.some((device) => device.addresses.some((own) => own.address === address));
}

const MOST_TOLD = 4;

function told(addresses: readonly string[]): string {
  const more = addresses.length - MOST_TOLD;
  return `${addresses.slice(0, MOST_TOLD).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

function localFindings({ name, source, published, addresses, proxied }: TrafficCase): Finding[] {
  const peers = new Set(addresses.flatMap((address) => address.peers));
  return [
    ...(proxied === true
      ? [raise('PROXY_ENDS', `Clients that reach ports of ${name} by IPv6 will not be followed to the target.`)]
      : []),
    ...(peers.size > 0
      ? [
          raise(
            'PEERS_LOSE_NAME',
            `${peers.size === 1 ? 'A neighbour' : 'Neighbours'} of ${name} on ${source.hostname} will not find it by name.`,
          ),
        ]
      : []),
    ...(published.some(({ hostAddress }) => hostAddress === undefined)
      ? [raise('LOOPBACK_NOT_FOLLOWED', `Programs on ${source.hostname} that use 127.0.0.1 will not reach ${name}.`)]
      : []),
  ];
}
