/** Pure: rules of the host that a workload left, for what comes for one of its addresses and is to be sent after it. */
import { type NftChain, quote } from '../tools/nft.ts';
import { NFT_WORDS } from './address.ts';
import { idle, toHost } from './rule-words.ts';
import { openSet, type SourceAddress } from './source-address.ts';

/** All that every packet meets. */
export function entry(at: SourceAddress): string[] {
  const { family, ports, address, name, isYielded } = at;
  return [
    ...openedEntry(at),
    ...(ports.length === 0 ? [] : [`${asked(at)} @${name('given')} jump ${name('given')}`]),
    ...ports.map(
      ({ protocol, hostAddress, hostPort }, index) =>
        `${toHost(family, hostAddress)} ${protocol} dport ${hostPort} goto ${name(`port_${index}`)}`,
    ),
    ...(isYielded ? [] : [`${NFT_WORDS[family].ip} daddr ${address} goto ${name('directly')}`]),
  ];
}

/** The same for flows that are known, and no others. */
export function openEntry(at: SourceAddress): string[] {
  const { ip } = NFT_WORDS[at.family];
  const { address, doors, name } = at;
  const asking = `${ip} saddr . meta l4proto . th sport`;
  const known = (protocol: 'tcp' | 'udp', who: string, set: string): string =>
    `${who} @${set} ${protocol === 'udp' ? `update @${set} { ${who} timeout ${idle('udp')} } ` : ''}`;
  return [
    ...openedEntry(at),
    ...doors.map(
      ({ protocol, hostAddress, hostPort, port, set }) =>
        `${ip} daddr ${hostAddress} ${protocol} dport ${hostPort} ${known(protocol, asking, openSet(set))}${ip} daddr set ${address} ${protocol} dport set ${port} ${there(at)}`,
    ),
    ...(at.isYielded ? [] : (['tcp', 'udp'] as const)).map(
      (protocol) =>
        `${ip} daddr ${address} meta l4proto ${protocol} ${known(protocol, `${asking} . th dport`, name('direct'))}${there(at)}`,
    ),
  ];
}

/** For what the IP stack or the bridge has sent to the workload. */
export function innerEntry({ family, address }: SourceAddress): string {
  return `${NFT_WORDS[family].ip} daddr ${address} goto to_target_${family}`;
}

/** Where the entries lead: clients are remembered, and addresses rewritten. */
export function arrivingChains(at: SourceAddress): NftChain[] {
  const { forward, address, bridge, family, name } = at;
  const { ip } = NFT_WORDS[family];
  const home = {
    name: name('home'),
    rules: ['counter name to_target', `fwd ${ip} to ${address} device ${quote(bridge)}`],
  };
  return [...(forward.hop === 'home' ? [home] : []), given(at), ...portChains(at), directly(at)];
}

/** Of a port that another container publishes by now: connections that were opened to it go no further. */
function given({ family, name }: SourceAddress): NftChain {
  const { ip } = NFT_WORDS[family];
  const asking = `${ip} saddr . meta l4proto . th sport . th dport`;
  return {
    name: name('given'),
    rules: [
      `tcp flags & (syn | ack) == syn update @${name('theirs')} { ${asking} timeout ${idle('tcp')} } accept`,
      `meta l4proto { tcp, udp } ${asking} @${name('theirs')} accept`,
      'meta l4proto udp accept',
    ],
  };
}

function portChains(at: SourceAddress): NftChain[] {
  const { address, subnet, family, name, ports, doors } = at;
  const { ip } = NFT_WORDS[family];
  return ports.map(({ protocol, hostPort, port }, index) => ({
    name: name(`port_${index}`),
    rules: [
      ...doors
        .filter((door) => door.protocol === protocol && door.hostPort === hostPort && door.port === port)
        .map(
          ({ rest, hostAddress, set }) =>
            `${rest ? `${ip} saddr ${subnet}` : `${ip} daddr ${hostAddress}`} update @${set} { ${ip} saddr . meta l4proto . th sport . ${port} timeout ${idle(protocol)} }`,
        ),
      `${ip} daddr set ${address} ${protocol} dport set ${port} ${there(at)}`,
    ],
  }));
}

function directly(at: SourceAddress): NftChain {
  const { ip } = NFT_WORDS[at.family];
  const learning = (['tcp', 'udp'] as const).map(
    (protocol) =>
      `meta l4proto ${protocol} update @${at.name('direct')} { ${ip} saddr . meta l4proto . th sport . th dport timeout ${idle(protocol)} }`,
  );
  return { name: at.name('directly'), rules: [...learning, there(at)] };
}

/** Answers to what the workload has asked: they come to the address that NAT gave it. */
function openedEntry(at: SourceAddress): string[] {
  const { ip } = NFT_WORDS[at.family];
  if (at.opened.length === 0) return [];
  const key = `${ip} saddr . meta l4proto . th sport . ${ip} daddr . th dport`;
  return (['tcp', 'udp'] as const).map(
    (protocol) =>
      `meta l4proto ${protocol} ${protocol} dport set ${key} map @${at.name('opened')} ${ip} daddr set ${at.address} ${there(at)}`,
  );
}

function asked({ family }: SourceAddress): string {
  return `meta l4proto { tcp, udp } ${NFT_WORDS[family].ip} daddr . meta l4proto . th dport`;
}

function there({ forward, name, family }: SourceAddress): string {
  return forward.hop === 'home' ? `goto ${name('home')}` : `goto to_target_${family}`;
}
