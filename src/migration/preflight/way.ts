/** Whether packets can be held here, and sent on to the target: what kernels and programs take, and what lies between. */
import type { Heard } from '../../traffic/path-rules.ts';
import type { Finding } from '../finding.ts';
import { type Entry, raising } from './finding-table.ts';
import type { TrafficCase } from './traffic.ts';

export function checkWay(c: TrafficCase): Finding[] {
  return [...ruleFindings(c), ...wayFindings(c), ...pathFindings(c), ...holdFindings(c)];
}

export const WAY_FINDINGS = {
  NFT_MISSING: {
    severity: 'blocks',
    meaning: 'Packets are held and forwarded by its rules. Clients would be refused at the old address.',
    remedy: 'Install nftables there (apt install nftables); or move it with --handover none.',
  },
  FORWARD_RULES_REFUSED: {
    severity: 'blocks',
    meaning: 'Clients would be refused at the old address, and open connections would end.',
    remedy:
      'Use nftables 1.0.6 or newer there, and a kernel with nf_tables of the netdev family (CONFIG_NF_TABLES_NETDEV, CONFIG_NFT_FWD_NETDEV); or move it with --handover none.',
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
    remedy: 'Nothing is to be done.',
  },
  FAMILY_NOT_FORWARDED: {
    severity: 'costs',
    meaning: 'Clients that use it are not followed to the target.',
    remedy: 'Give both hosts an address of that kind on the network between them.',
  },
  PACKETS_DROPPED: {
    severity: 'blocks',
    meaning:
      "Forwarded packets have the addresses of clients and of the workload. A few such were sent and did not arrive: a packet filter of these hosts, or a switch that lets pass only addresses that it knows, drops them, and would drop the clients' as well.",
    remedy:
      'Let them pass (nft list ruleset shows tables of the families netdev and bridge; in a cloud, the check of source and destination), or let UDP port 4788 pass between the hosts, by which they can go wrapped; or move it with --handover none.',
  },
  TUNNEL_DROPPED: {
    severity: 'blocks',
    meaning:
      'Forwarded packets travel wrapped between these hosts. A few were sent and did not arrive: a firewall drops them.',
    remedy: 'Let UDP port 4788 pass between the two hosts, on both and between them; or move it with --handover none.',
  },
  LARGE_PACKETS_DROPPED: {
    severity: 'costs',
    meaning:
      'Packets of 1500 bytes were sent and did not arrive, smaller ones did: something between the hosts drops fragments. Connections that are open now send such packets, and stall; new ones send smaller ones.',
    remedy: 'Let fragments pass, or let the network between the hosts take packets of 1570 bytes.',
  },
  WAY_NOT_TRIED: {
    severity: 'note',
    meaning:
      'As a rule a few packets are sent to the target and back as clients would, to see that nothing drops them.',
    remedy: 'See yourself that firewalls between the hosts and on them let packets to the workload pass.',
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
} as const satisfies Record<string, Entry>;

const raise = raising(WAY_FINDINGS);

function ruleFindings({ source, target }: TrafficCase): Finding[] {
  return [source, target].flatMap(({ hostname, traffic: { nft, forwardRefused } }) => {
    if (nft === null) return [raise('NFT_MISSING', `${hostname} has no nft.`)];
    if (forwardRefused === null) return [];
    return [
      raise('FORWARD_RULES_REFUSED', `${hostname} (nft ${nft}) does not take rules that forward: ${forwardRefused}.`),
    ];
  });
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
      raise('TUNNEL_REFUSED', `${hostname} cannot make a tunnel: ${traffic.tunnelRefused}.`),
    ),
    ...(way.tunnel !== undefined && refused.length === 0
      ? [raise('TUNNEL_USED', `Packets do not get from ${source.hostname} to ${target.hostname} as they are.`)]
      : []),
    ...missing.map((family) => raise('FAMILY_NOT_FORWARDED', `${between} have no IPv${family} between them.`)),
  ];
}

function pathFindings({ name, source, target, way, path, untried }: TrafficCase): Finding[] {
  if (way === null) return [];
  const [here, there] = [source.hostname, target.hostname];
  if (untried !== undefined) {
    return [raise('WAY_NOT_TRIED', `It could not be tried whether packets get from ${here} to ${there}: ${untried}.`)];
  }
  const code = way.tunnel === undefined ? 'PACKETS_DROPPED' : 'TUNNEL_DROPPED';
  const legs = [
    { what: `Packets for ${name} do not get from ${here} to ${there}`, heard: path?.there },
    { what: `What ${name} answers does not get from ${there} to ${here}`, heard: path?.back },
  ];
  return legs.flatMap(({ what, heard }) => {
    if (heard === undefined || isOpen(heard)) return [];
    return [raise(heard.small ? 'LARGE_PACKETS_DROPPED' : code, `${what}${heard.small ? ' if they are large' : ''}.`)];
  });
}

function isOpen({ small, large }: Heard): boolean {
  return small && large;
}

function holdFindings({ source: { hostname, traffic } }: TrafficCase): Finding[] {
  return [
    ...(traffic.queueRefused === null
      ? []
      : [raise('HOLD_DROPS', `${hostname} cannot let packets wait: ${traffic.queueRefused}.`)]),
    ...(traffic.egressRefused === null || traffic.forwardRefused !== null || traffic.nft === null
      ? []
      : [raise('HOLD_MISSES_NEIGHBOURS', `${hostname} has no hook behind a bridge: ${traffic.egressRefused}.`)]),
  ];
}
