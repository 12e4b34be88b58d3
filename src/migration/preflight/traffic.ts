/** Whether clients and connections can follow the workload, and what of them cannot. */
import type { TrafficFacts } from '../../traffic/capabilities.ts';
import type { PublishedPort, WorkloadAddress } from '../../traffic/facts.ts';
import { type Way, wayBetween } from '../../traffic/way.ts';
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export interface TrafficCase {
  /** Of the workload, as users know it. */
  name: string;
  source: { hostname: string; traffic: TrafficFacts };
  target: {
    hostname: string;
    traffic: TrafficFacts;
    /** Addresses that containers or devices have there already. */
    addresses: readonly string[];
  };
  published: readonly PublishedPort[];
  addresses: readonly WorkloadAddress[];
  /** null where the hosts do not reach each other. */
  way: Way | null;
}

/** Nothing where nothing is to be forwarded. */
export function checkTraffic({ name, workload, source, target, options }: Case): Finding[] {
  if (
    options.handover === 'none' ||
    options.handover === 'address' ||
    workload.traffic === undefined ||
    workload.traffic.addresses.length === 0
  )
    return [];
  if (source.traffic === undefined || target.traffic === undefined) return [];
  const [here, there] = [source.traffic.network, target.traffic.network];
  const bridges = [...here.devices, ...there.devices].filter(({ kind }) => kind === 'bridge');
  return trafficFindings({
    name,
    source: { hostname: source.hostname, traffic: source.traffic },
    target: {
      hostname: target.hostname,
      traffic: target.traffic,
      addresses: there.devices.flatMap((device) => device.addresses.map(({ address }) => address)),
    },
    ...workload.traffic,
    way: wayBetween(here, there, { bridges: bridges.map((device) => device.name) }),
  });
}

export function trafficFindings(c: TrafficCase): Finding[] {
  return [
    ...ruleFindings(c),
    ...wayFindings(c),
    ...holdFindings(c),
    ...addressFindings(c),
    ...filterFindings(c),
    ...localFindings(c),
  ];
}

export const TRAFFIC_FINDINGS = {
  FORWARD_RULES_REFUSED: {
    severity: 'blocks',
    meaning: 'Clients would be refused at the old address, and open connections would end.',
    remedy: 'Install nftables, on a kernel with nf_tables of the netdev family; or move it with --handover none.',
  },
  NO_WAY_BETWEEN: {
    severity: 'blocks',
    meaning: 'What comes to the source cannot be sent on to the target, or the answers cannot come back.',
    remedy: 'Give both hosts a route to each other; or move it with --handover none.',
  },
  TUNNEL_REFUSED: {
    severity: 'blocks',
    meaning: 'The hosts are not on one network, and packets between them must be wrapped (vxlan).',
    remedy: 'Load the kernel module vxlan on both hosts; or move it with --handover none.',
  },
  TUNNEL_USED: {
    severity: 'note',
    meaning:
      'What is forwarded travels wrapped, by UDP port 4788, which firewalls between the hosts must let pass; connections that are open now send larger packets than fit, so that these go in fragments and slower.',
    remedy: 'Nothing is to be done, unless a firewall is between them.',
  },
  FAMILY_NOT_FORWARDED: {
    severity: 'costs',
    meaning: 'Clients that use it are not followed to the target.',
    remedy: 'Give both hosts an address of that kind on the network between them.',
  },
  HOLD_DROPS: {
    severity: 'costs',
    meaning: 'Packets that come during the pause are dropped: clients send them again, and see a longer pause.',
    remedy: 'Load the kernel modules sch_tbf, cls_u32 and act_mirred on the source.',
  },
  HOLD_MISSES_NEIGHBOURS: {
    severity: 'costs',
    meaning:
      'What other containers and programs of the source send during the pause reaches the frozen workload: connections live on, and new ones that are made in that moment may fail.',
    remedy: 'Use Linux 5.16 or newer on the source.',
  },
  ADDRESS_TAKEN: {
    severity: 'blocks',
    meaning: 'The workload keeps its address, by which open connections know it.',
    remedy: 'Remove what has that address on the target, or give that another one.',
  },
  STRICT_PATH_FILTER: {
    severity: 'costs',
    meaning: 'With it the kernel takes answers that come by another way than they left for forged, and drops them.',
    remedy: 'Set it to 2, which is loose: sysctl -w net.ipv4.conf.all.rp_filter=2.',
  },
  PEERS_LOSE_NAME: {
    severity: 'costs',
    meaning:
      "They go on reaching it by its address, but Docker's name service knows only the containers of its own host: new lookups of its name fail.",
    remedy: 'Give them the address (--add-host), or move them, too.',
  },
  LOOPBACK_NOT_FOLLOWED: {
    severity: 'note',
    meaning:
      "Docker's own proxy answers 127.0.0.1 and ends with the container; programs on the source reach the workload by any other address of the host.",
    remedy: "Use the host's address instead of 127.0.0.1 or localhost there.",
  },
} as const satisfies Record<string, Entry>;

const raise = raising(TRAFFIC_FINDINGS);

function ruleFindings({ source, target }: TrafficCase): Finding[] {
  return [source, target].flatMap(({ hostname, traffic: { forwardRefused } }) =>
    forwardRefused === null
      ? []
      : [raise('FORWARD_RULES_REFUSED', `${hostname} does not take rules that forward: ${forwardRefused}`)],
  );
}

function wayFindings({ source, target, way, addresses }: TrafficCase): Finding[] {
  const between = `${source.hostname} and ${target.hostname}`;
  if (way === null) return [raise('NO_WAY_BETWEEN', `${between} have no routes to each other.`)];
  const families = ([4, 6] as const).filter((family) =>
    addresses.some(({ address }) => address.includes(':') === (family === 6)),
  );
  const missing = families.filter(
    (family) => way.hop.source.via[family] === undefined || way.hop.target.via[family] === undefined,
  );
  const refused =
    way.tunnel === undefined ? [] : [source, target].filter(({ traffic }) => traffic.tunnelRefused !== null);
  return [
    ...refused.map(({ hostname, traffic }) =>
      raise('TUNNEL_REFUSED', `${hostname} cannot make a tunnel: ${traffic.tunnelRefused}`),
    ),
    ...(way.tunnel !== undefined && refused.length === 0
      ? [raise('TUNNEL_USED', `${between} are not on one network.`)]
      : []),
    ...missing.map((family) => raise('FAMILY_NOT_FORWARDED', `${between} have no IPv${family} between them.`)),
  ];
}

function holdFindings({ source: { hostname, traffic } }: TrafficCase): Finding[] {
  return [
    ...(traffic.queueRefused === null
      ? []
      : [raise('HOLD_DROPS', `${hostname} cannot let packets wait: ${traffic.queueRefused}`)]),
    ...(traffic.egressRefused === null
      ? []
      : [raise('HOLD_MISSES_NEIGHBOURS', `${hostname} has no hook behind a bridge: ${traffic.egressRefused}`)]),
  ];
}

function addressFindings({ name, target, addresses }: TrafficCase): Finding[] {
  return addresses
    .filter(({ address }) => target.addresses.includes(address))
    .map(({ address }) => raise('ADDRESS_TAKEN', `${address} of ${name} is in use on ${target.hostname}.`));
}

/** Forwarding itself is before this filter; it matters for the neighbours and programs of a host. */
function filterFindings({ source, target, addresses, way }: TrafficCase): Finding[] {
  const hasPeers = addresses.some(({ peers }) => peers.length > 0);
  const strict = ({ traffic }: TrafficCase['source'], device: string): boolean =>
    Math.max(traffic.reversePathFilter.all ?? 0, traffic.reversePathFilter[device] ?? 0) === 1;
  const uplink = way?.hop.source.device ?? '';
  return [
    ...(strict(source, uplink)
      ? [
          raise(
            'STRICT_PATH_FILTER',
            `${source.hostname} filters reverse paths strictly: its own programs will not reach the workload.`,
          ),
        ]
      : []),
    ...[source, target]
      .filter(({ traffic }) => hasPeers && traffic.reversePathFilter.all === 1)
      .map(({ hostname }) =>
        raise(
          'STRICT_PATH_FILTER',
          `${hostname} filters reverse paths strictly: neighbours that stay behind and the workload will not find each other.`,
        ),
      ),
  ];
}

function localFindings({ name, source, published, addresses }: TrafficCase): Finding[] {
  const peers = new Set(addresses.flatMap((address) => address.peers));
  return [
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
