/**
 * Pure: the rule set of the host that a workload left. It works in the netdev family, before connection tracking,
 * iptables and the kernel's own forwarding: Docker drops what it does not know in all of these, and an accept in one
 * table does not undo a drop in another. Addresses are rewritten without state of their own, except for what is learned
 * about clients: by which of the host's addresses and ports they know the workload.
 */
import { type NftTable, quote } from '../tools/nft.ts';
import { contains, type Family, familyOf, NFT_WORDS } from './address.ts';
import type { PublishedPort } from './facts.ts';
import { tableName } from './names.ts';
import { routeRules } from './routes.ts';
import { elements, overHop, PASS_DISCOVERY, toHost } from './rule-words.ts';
import {
  addressSets,
  givenElements,
  isYielded,
  type SourceForward,
  type SourceSurroundings,
  sourceAddresses,
} from './source-address.ts';
import { answerChain, answerEntry, TAKE_IN } from './source-answers.ts';
import { arrivingChains, entry, innerEntry, openEntry } from './source-arriving.ts';

/** Before the forwards of workloads that are here now, so that packets which are only passing are not taken for theirs. */
const PRIORITY = -500;
/** Before what is learned of the host that it came home from, by which the same packets may have come a moment ago. */
const HOME_PRIORITY = -520;

export function sourceTable(forward: SourceForward, { routes, local, outer, inner }: SourceSurroundings): NftTable {
  const parts = sourceAddresses(forward, { local, inner });
  const isHome = forward.hop === 'home';
  const hook = { type: 'filter', hook: 'ingress', priority: isHome ? HOME_PRIORITY : PRIORITY } as const;
  return {
    family: 'netdev',
    name: tableName('source', forward.id),
    objects: ['counter to_target {}', 'counter from_target {}', ...parts.flatMap(addressSets)],
    chains: [
      ...([4, 6] as const).flatMap((family) => [
        { name: `to_target_${family}`, rules: toTarget(forward, family) },
        { name: `away_${family}`, rules: ['counter name from_target', ...routeRules(routes, family), 'drop'] },
      ]),
      ...parts.flatMap((part) => [...arrivingChains(part), answerChain(part)]),
      {
        name: 'arriving',
        hook: { ...hook, devices: outer },
        rules: parts.flatMap((part) => [
          ...(isHome ? [] : [answerEntry(part)]),
          ...(forward.only === 'open' ? openEntry(part) : entry(part)),
        ]),
      },
      {
        name: 'arrived',
        hook: { ...hook, devices: inner },
        // Nothing is learned here: NAT has been at work already, and its own flows are known since the freeze.
        rules: isHome ? parts.map(answerEntry) : [PASS_DISCOVERY, TAKE_IN, ...parts.map(innerEntry)],
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
  const rules = sourceAddresses(forward, { local }).flatMap((part) => [answerEntry(part), ...entry(part)]);
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
export function localTables(of: SourceForward, local: readonly string[]): NftTable[] {
  if (of.only === 'open') return [];
  const forward = { ...of, published: of.published.filter((port) => !isPortYielded(of, port)) };
  return ([4, 6] as const).flatMap((family) => {
    const { ip, type } = NFT_WORDS[family];
    const rules = localRules(forward, family);
    if (rules.length === 0) return [];
    const given = `meta l4proto { tcp, udp } ${ip} daddr . meta l4proto . th dport @${GIVEN} accept`;
    const chains = [
      // Before Docker's own, -100, which leads to the workload's old place.
      { name: 'own', hook: { type: 'nat', hook: 'output', priority: -110 } as const, rules: [given, ...rules] },
      {
        name: 'heard',
        hook: { type: 'nat', hook: 'input', priority: 100 } as const,
        rules: heard(forward, family, local),
      },
    ];
    const set = `set ${GIVEN} { type ${type} . inet_proto . inet_service; ${elements(givenElements(of, local, family))} }`;
    return [{ family: ip, name: tableName('source', forward.id), objects: [set], chains }];
  });
}

/** The commands by which tables that are in place give away the ports in `given`, and no others any more. */
export function giveRules(forward: SourceForward, local: readonly string[]): string {
  const name = tableName('source', forward.id);
  const sets = [
    ...sourceAddresses(forward, { local }).map((at) => ({
      family: at.family,
      set: `netdev ${name} ${at.name('given')}`,
    })),
    ...localTables(forward, local).map(({ family }) => ({
      family: family === 'ip' ? (4 as const) : (6 as const),
      set: `${family} ${name} ${GIVEN}`,
    })),
  ];
  return sets
    .flatMap(({ family, set }) => {
      const given = givenElements(forward, local, family);
      return [
        `flush set ${set}`,
        ...(given.length === 0 ? [] : [`add element ${set} { ${[...new Set(given)].join(', ')} }`]),
      ];
    })
    .join('\n');
}

const GIVEN = 'given';

/** They would lead to whoever has the workload's address here now. */
function isPortYielded(forward: SourceForward, { address }: PublishedPort): boolean {
  return forward.addresses.some((one) => one.address === address && isYielded(forward, one));
}

function localRules({ published }: SourceForward, family: Family): string[] {
  const elsewhere = `${NFT_WORDS[family].ip} daddr != ${family === 4 ? '127.0.0.0/8' : '::1'}`;
  return published
    .filter(({ address }) => familyOf(address) === family)
    .map(({ protocol, hostAddress, hostPort, address, port }) => {
      return `${elsewhere} ${toHost(family, hostAddress)} ${protocol} dport ${hostPort} dnat to ${place(address, port)}`;
    });
}

/**
 * When the old copy ends Docker deletes what connection tracking knows of it. Whichever end of a connection speaks first
 * then, its packet makes the same translation again. Who asks for an address of its own host asks from there, too; from
 * one in the workload's subnet, for the workload itself.
 */
function heard({ published, addresses }: SourceForward, family: Family, local: readonly string[]): string[] {
  const { ip } = NFT_WORDS[family];
  const isInside = (one: string): boolean => addresses.some(({ subnet }) => contains(subnet, one));
  const mine = local.filter((one) => familyOf(one) === family && !isInside(one));
  return published
    .filter(({ address, protocol }) => familyOf(address) === family && protocol === 'tcp')
    .flatMap(({ hostAddress, hostPort, address, port }) =>
      (hostAddress === undefined ? mine : [hostAddress]).map(
        (asked) =>
          `${ip} saddr ${address} ${ip} daddr ${asked} tcp sport ${port} tcp flags & syn == 0 snat to ${place(asked, hostPort)}`,
      ),
    );
}

function place(address: string, port: number): string {
  return `${familyOf(address) === 4 ? address : `[${address}]`}:${port}`;
}

function toTarget({ hop }: SourceForward, family: Family): string[] {
  return hop === 'home' ? ['accept'] : ['counter name to_target', ...overHop(hop, family)];
}
