/**
 * Pure: the rule set of the host that a workload left. It works in the netdev family, before connection tracking,
 * iptables and the kernel's own forwarding: Docker drops what it does not know in all of these, and an accept in one
 * table does not undo a drop in another. Addresses are rewritten without state of their own, except for what is learned
 * about clients: by which of the host's addresses and ports they know the workload.
 */
import type { Route } from '../tools/ip-network.ts';
import { type NftChain, type NftTable, quote } from '../tools/nft.ts';
import { contains, type Family, familyOf, NFT_WORDS } from './address.ts';
import type { Flow, Hop, PublishedPort, WorkloadAddress } from './facts.ts';
import { tableName } from './names.ts';
import { routeRules } from './routes.ts';

export interface SourceForward {
  id: string;
  published: readonly PublishedPort[];
  addresses: readonly WorkloadAddress[];
  /** Open at the freeze. */
  flows: readonly Flow[];
  /** To the host that has the workload now; `home` where it has come back, and its flows must still be rewritten. */
  hop: Hop | 'home';
  /** Nothing new is forwarded any more: only what is in `flows`, until it ends. */
  only?: 'open';
  /** The host's own address by which clients know the workload, where nothing was learned of them. */
  primary: { 4?: string; 6?: string };
}

/** What is of this moment and this kernel, and looked up again whenever the rules are made. */
export interface SourceSurroundings {
  routes: readonly Route[];
  /** The host's own addresses. One that it gets later is answered for as if it were the primary one. */
  local: readonly string[];
  /** By which packets come in that were not looked at yet: uplinks, bridges, far ends of their lanes, the tunnel. */
  outer: readonly string[];
  /** By which those come that the IP stack or the bridge has sent to the workload: stand-ins, far ends of its port's lane. */
  inner: readonly string[];
}

/** Before the forwards of workloads that are here now, so that packets which are only passing are not taken for theirs. */
const PRIORITY = -500;
/** Before what is learned of the host that it came home from, by which the same packets may have come a moment ago. */
const HOME_PRIORITY = -520;

export function sourceTable(forward: SourceForward, { routes, local, outer, inner }: SourceSurroundings): NftTable {
  const parts = forward.addresses.map((address, index) => new AddressRules(forward, address, index, local));
  const priority = forward.hop === 'home' ? HOME_PRIORITY : PRIORITY;
  return {
    family: 'netdev',
    name: tableName('source', forward.id),
    objects: ['counter to_target {}', 'counter from_target {}', ...parts.flatMap((part) => part.sets())],
    chains: [
      ...([4, 6] as const).flatMap((family) => [
        { name: `to_target_${family}`, rules: toTarget(forward, family) },
        { name: `away_${family}`, rules: ['counter name from_target', ...routeRules(routes, family), 'drop'] },
      ]),
      ...parts.flatMap((part) => part.chains()),
      {
        name: 'arriving',
        hook: { type: 'filter', hook: 'ingress', priority, devices: outer },
        rules: parts.flatMap((part) => [
          ...(forward.hop === 'home' ? [] : part.answers()),
          ...(forward.only === 'open' ? part.openOnly() : part.entry()),
        ]),
      },
      {
        name: 'arrived',
        hook: { type: 'filter', hook: 'ingress', priority, devices: inner },
        rules:
          forward.hop === 'home'
            ? parts.flatMap((part) => part.answers())
            : // Nothing is learned here: NAT has been at work already, and its own flows are known since the freeze.
              [PASS_DISCOVERY, ...parts.map((part) => part.innerEntry())],
      },
    ],
  };
}

/**
 * The commands by which a table that is in place takes in more devices: those that a hold does not stand before, and
 * that would otherwise reach the workload before it runs.
 */
export function widenTable(forward: SourceForward, local: readonly string[], devices: readonly string[]): string {
  if (devices.length === 0) return '';
  const name = `netdev ${tableName('source', forward.id)}`;
  const parts = forward.addresses.map((address, index) => new AddressRules(forward, address, index, local));
  const rules = parts.flatMap((part) => [...part.answers(), ...part.entry()]);
  const hook = `type filter hook ingress devices = { ${devices.map(quote).join(', ')} } priority ${PRIORITY}`;
  return [
    `add chain ${name} arriving_too { ${hook}; policy accept; }`,
    ...rules.map((rule) => `add rule ${name} arriving_too ${rule}`),
  ].join('\n');
}

/**
 * For programs of the source itself: their packets do not come in by a device. 127.0.0.1 cannot leave the host.
 * @param local the host's own addresses
 */
export function localTables(forward: SourceForward, local: readonly string[]): NftTable[] {
  if (forward.only === 'open') return [];
  return ([4, 6] as const).map((family) => {
    const { ip } = NFT_WORDS[family];
    const published = forward.published.filter(({ address }) => familyOf(address) === family);
    const subnets = forward.addresses.map(({ subnet }) => subnet);
    const mine = local.filter((one) => familyOf(one) === family && !subnets.some((subnet) => contains(subnet, one)));
    const notLoopback = `${ip} daddr != ${family === 4 ? '127.0.0.0/8' : '::1'}`;
    return {
      family: ip,
      name: tableName('source', forward.id),
      objects: [],
      chains: [
        {
          name: 'own',
          // Before Docker's own, -100, which leads to the workload's old place.
          hook: { type: 'nat', hook: 'output', priority: -110 },
          rules: published.map(
            ({ protocol, hostAddress, hostPort, address, port }) =>
              `${notLoopback} ${own(family, hostAddress)} ${protocol} dport ${hostPort} dnat to ${place(address, port)}`,
          ),
        },
        {
          // When the old copy ends Docker deletes what connection tracking knows of it. Whichever end of a connection
          // speaks first then, its packet makes the same translation again. Who asks for an address of its own host
          // asks from there, too; from one in the workload's subnet, for the workload itself.
          name: 'heard',
          hook: { type: 'nat', hook: 'input', priority: 100 },
          rules: published
            .filter(({ protocol }) => protocol === 'tcp')
            .flatMap(({ hostAddress, hostPort, address, port }) =>
              (hostAddress === undefined ? mine : [hostAddress]).map(
                (asked) =>
                  `${ip} saddr ${address} ${ip} daddr ${asked} tcp sport ${port} tcp flags & syn == 0 snat to ${place(asked, hostPort)}`,
              ),
            ),
        },
      ],
    };
  });
}

function place(address: string, port: number): string {
  return `${familyOf(address) === 4 ? address : `[${address}]`}:${port}`;
}

/** By which of the host's addresses and ports a client knows a port of the workload. */
interface Door {
  protocol: 'tcp' | 'udp';
  hostAddress: string;
  hostPort: number;
  port: number;
  /** The set of those clients. */
  set: string;
  /** For all of whom nothing else is known: only neighbours on the workload's network are learned then. */
  rest: boolean;
}

/** Rules for one address of the workload. Sets are its own, so that answers need no further key. */
class AddressRules {
  readonly #forward: SourceForward;
  readonly #at: WorkloadAddress;
  readonly #index: number;
  readonly #family: Family;
  readonly #published: PublishedPort[];
  readonly #doors: Door[];
  readonly #outgoing: (Flow & { known: { address: string; port: number } })[];

  constructor(forward: SourceForward, at: WorkloadAddress, index: number, local: readonly string[]) {
    this.#forward = forward;
    this.#at = at;
    this.#index = index;
    this.#family = familyOf(at.address);
    this.#published = forward.published.filter(({ address }) => address === at.address);
    this.#doors = this.#doorsOf(local.filter((address) => familyOf(address) === this.#family));
    this.#outgoing = forward.flows.flatMap((flow) =>
      flow.address === at.address && flow.by === 'workload' && flow.known !== undefined
        ? [{ ...flow, known: flow.known }]
        : [],
    );
  }

  sets(): string[] {
    const { type } = NFT_WORDS[this.#family];
    // Whom: the other end's address, protocol and port, and the workload's port.
    const key = `${type} . inet_proto . inet_service . inet_service`;
    const bounds = 'flags dynamic,timeout; size 262144; timeout 5d;';
    const whom = ({ peer, protocol, peerPort, port }: Flow): string => `${peer} . ${protocol} . ${peerPort} . ${port}`;
    const byPeers = this.#forward.flows.filter(({ address, by }) => address === this.#at.address && by === 'peer');
    const direct = byPeers.filter(({ known }) => known === undefined);
    const out = this.#outgoing;
    return [
      ...this.#doors.flatMap((door) => {
        const through = byPeers.filter((flow) => isThrough(flow, door));
        const clients = through.map(({ peer, protocol, peerPort }) => `${peer} . ${protocol} . ${peerPort}`);
        return [
          `set ${door.set} { type ${key}; ${bounds} ${elements(through.map(whom))} }`,
          ...(this.#forward.only === 'open'
            ? [`set open_${door.set} { type ${type} . inet_proto . inet_service; ${elements(clients)} }`]
            : []),
        ];
      }),
      `set ${this.#name('direct')} { type ${key}; ${bounds} ${elements(direct.map(whom))} }`,
      ...(out.length === 0
        ? []
        : [
            `map ${this.#name('opened')} { type ${type} . inet_proto . inet_service . ${type} . inet_service : inet_service; ${elements(
              out.map(
                (f) => `${f.peer} . ${f.protocol} . ${f.peerPort} . ${f.known.address} . ${f.known.port} : ${f.port}`,
              ),
            )} }`,
            `map ${this.#name('opened_address')} { type ${key} : ${type}; ${elements(out.map((f) => `${whom(f)} : ${f.known.address}`))} }`,
            `map ${this.#name('opened_port')} { type ${key} : inet_service; ${elements(out.map((f) => `${whom(f)} : ${f.known.port}`))} }`,
          ]),
    ];
  }

  /** What comes from the workload. */
  answers(): string[] {
    return [`${NFT_WORDS[this.#family].ip} saddr ${this.#at.address} goto ${this.#name('answer')}`];
  }

  /** What comes for it: all that every packet meets. */
  entry(): string[] {
    const { ip } = NFT_WORDS[this.#family];
    return [
      ...this.#openedEntry(),
      ...this.#published.map(
        ({ protocol, hostAddress, hostPort }, index) =>
          `${own(this.#family, hostAddress)} ${protocol} dport ${hostPort} goto ${this.#name(`port_${index}`)}`,
      ),
      `${ip} daddr ${this.#at.address} goto ${this.#name('directly')}`,
    ];
  }

  /** The same for flows that are known, and no others. */
  openOnly(): string[] {
    const { ip } = NFT_WORDS[this.#family];
    const { address } = this.#at;
    const asking = `${ip} saddr . meta l4proto . th sport`;
    return [
      ...this.#openedEntry(),
      ...this.#doors.map(
        ({ protocol, hostAddress, hostPort, port, set }) =>
          `${ip} daddr ${hostAddress} ${protocol} dport ${hostPort} ${asking} @open_${set} ${ip} daddr set ${address} ${protocol} dport set ${port} ${this.#there()}`,
      ),
      `${ip} daddr ${address} meta l4proto { tcp, udp } ${asking} . th dport @${this.#name('direct')} ${this.#there()}`,
    ];
  }

  #openedEntry(): string[] {
    const { ip } = NFT_WORDS[this.#family];
    if (this.#outgoing.length === 0) return [];
    const key = `${ip} saddr . meta l4proto . th sport . ${ip} daddr . th dport`;
    return (['tcp', 'udp'] as const).map(
      (protocol) =>
        `meta l4proto ${protocol} ${protocol} dport set ${key} map @${this.#name('opened')} ${ip} daddr set ${this.#at.address} ${this.#there()}`,
    );
  }

  #there(): string {
    return this.#forward.hop === 'home' ? `goto ${this.#name('home')}` : `goto to_target_${this.#family}`;
  }

  innerEntry(): string {
    return `${NFT_WORDS[this.#family].ip} daddr ${this.#at.address} goto to_target_${this.#family}`;
  }

  chains(): NftChain[] {
    const { ip } = NFT_WORDS[this.#family];
    const { address, subnet } = this.#at;
    const there = this.#there();
    const all = this.#forward.only !== 'open';
    const away = `goto away_${this.#family}`;
    const asked = `${ip} daddr . meta l4proto . th dport . th sport`;
    const as = ({ protocol, hostAddress, hostPort }: Door): string =>
      `${ip} saddr set ${hostAddress} ${protocol} sport set ${hostPort} ${away}`;
    const asking = `${ip} saddr . meta l4proto . th sport`;
    // What else comes by another way is somebody's who has the address here now.
    const { hop } = this.#forward;
    const byHop = hop === 'home' ? '' : `meta iifname ${quote(hop.device)} `;
    return [
      ...(this.#forward.hop === 'home'
        ? [
            {
              name: this.#name('home'),
              rules: ['counter name to_target', `fwd ${ip} to ${address} device ${quote(this.#at.bridge)}`],
            },
          ]
        : []),
      ...this.#published.map(({ protocol, hostPort, port }, index) => ({
        name: this.#name(`port_${index}`),
        rules: [
          ...this.#doors
            .filter((door) => door.protocol === protocol && door.hostPort === hostPort && door.port === port)
            .map(
              ({ rest, hostAddress, set }) =>
                `${rest ? `${ip} saddr ${subnet}` : `${ip} daddr ${hostAddress}`} update @${set} { ${asking} . ${port} timeout ${idle(protocol)} }`,
            ),
          `${ip} daddr set ${address} ${protocol} dport set ${port} ${there}`,
        ],
      })),
      {
        name: this.#name('directly'),
        rules: [
          ...(['tcp', 'udp'] as const).map(
            (protocol) =>
              `meta l4proto ${protocol} update @${this.#name('direct')} { ${asking} . th dport timeout ${idle(protocol)} }`,
          ),
          there,
        ],
      },
      {
        name: this.#name('answer'),
        rules: [
          // Programs of this host itself: the rest of the way is the IP stack's.
          'fib daddr type local accept',
          ...(this.#outgoing.length === 0
            ? []
            : [
                `${ip} saddr set ${asked} map @${this.#name('opened_address')}`,
                ...(['tcp', 'udp'] as const).map(
                  (protocol) =>
                    `meta l4proto ${protocol} ${protocol} sport set ${asked} map @${this.#name('opened_port')} ${away}`,
                ),
              ]),
          ...this.#doors.map((door) => `${door.protocol} sport ${door.port} ${asked} @${door.set} ${as(door)}`),
          ...(all ? [`${byHop}${ip} daddr ${subnet} ${away}`] : []),
          `meta l4proto { tcp, udp } ${asked} @${this.#name('direct')} ${away}`,
          ...(all
            ? [
                ...this.#doors
                  .filter(({ rest }) => rest)
                  .map((door) => `${byHop}${door.protocol} sport ${door.port} ${as(door)}`),
                `${byHop}${away}`,
              ]
            : []),
        ],
      },
    ];
  }

  /** The last of a port is for all clients of whom nothing is known: a UDP service may speak first, a reboot forgets. */
  #doorsOf(local: readonly string[]): Door[] {
    const primary = this.#forward.primary[this.#family];
    const all = this.#published.flatMap(({ protocol, hostAddress, hostPort, port }) =>
      (hostAddress === undefined ? local : [hostAddress]).map((address) => ({
        protocol,
        hostAddress: address,
        hostPort,
        port,
      })),
    );
    const ports = new Map<string, typeof all>();
    for (const door of all) {
      const key = `${door.protocol} ${door.port}`;
      ports.set(key, [...(ports.get(key) ?? []), door]);
    }
    let count = 0;
    return [...ports.values()].flatMap((doors) => {
      const known = doors.find(({ hostAddress }) => hostAddress === primary) ?? doors[0];
      return doors.map((door) => ({ ...door, set: this.#name(`through_${count++}`), rest: door === known }));
    });
  }

  learned(): LearnedSet[] {
    const { address } = this.#at;
    return this.#doors.map(({ set, protocol, port, hostAddress, hostPort, rest }) => ({
      name: set,
      address,
      protocol,
      port,
      known: { address: hostAddress, port: hostPort },
      rest,
    }));
  }

  #name(what: string): string {
    return `${what}_${this.#index}`;
  }
}

function isThrough(flow: Flow, door: Door): boolean {
  const { known } = flow;
  return (
    known !== undefined &&
    flow.protocol === door.protocol &&
    flow.port === door.port &&
    known.address === door.hostAddress &&
    known.port === door.hostPort
  );
}

/** Neighbours of a bridge find each other; what is forwarded would have lost a hop and not be believed. */
export const PASS_DISCOVERY = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept';

/** Long-lived connections are as silent as conntrack lets them be (net.netfilter.nf_conntrack_tcp_timeout_established). */
export function idle(protocol: 'tcp' | 'udp'): string {
  return protocol === 'tcp' ? '5d' : '3m';
}

/** What goes over to the other host: counted, with segments that fit, and by its neighbour entry on that device. */
export function overHop(hop: Hop, family: Family): string[] {
  const { ip } = NFT_WORDS[family];
  const via = hop.via[family];
  const mss = hop.mss === undefined ? undefined : hop.mss - (family === 6 ? 20 : 0);
  return [
    ...(mss === undefined
      ? []
      : [`tcp flags & syn == syn tcp option maxseg size > ${mss} tcp option maxseg size set ${mss}`]),
    via === undefined ? 'drop' : `fwd ${ip} to ${via} device ${quote(hop.device)}`,
  ];
}

export function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${[...new Set(list)].join(', ')} }`;
}

/** A packet for the host itself. */
function own(family: Family, hostAddress: string | undefined): string {
  const { ip } = NFT_WORDS[family];
  return hostAddress === undefined
    ? `meta protocol ${NFT_WORDS[family].ip} fib daddr type local`
    : `${ip} daddr ${hostAddress}`;
}

function toTarget({ hop }: SourceForward, family: Family): string[] {
  return hop === 'home' ? ['accept'] : ['counter name to_target', ...overHop(hop, family)];
}

/** A set of clients that know a port of the workload by one address and port of the host. */
export interface LearnedSet {
  name: string;
  address: string;
  protocol: 'tcp' | 'udp';
  port: number;
  known: { address: string; port: number };
  /** For all that are in no other set. */
  rest: boolean;
}

/** What of the rules holds who knows the workload how; see `flowsKnown`. */
export function learnedSets(forward: SourceForward, local: readonly string[]): LearnedSet[] {
  return forward.addresses.flatMap((address, index) => new AddressRules(forward, address, index, local).learned());
}
