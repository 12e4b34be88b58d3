/** Pure: rules of the host that a workload left, for what the workload sends to those who know it by this host. */
import { type NftChain, quote } from '../tools/nft.ts';
import { NFT_WORDS } from './address.ts';
import type { Door, SourceAddress } from './source-address.ts';

/** Answers to programs of this host, as they come out of a stand-in: they bear the MAC address of its uplink. */
export const TAKE_IN = 'fib daddr type local meta pkttype set host accept';

export function answerEntry({ family, address, name, forward, isYielded }: SourceAddress): string {
  const { hop } = forward;
  const byHop = isYielded && hop !== 'home' ? `meta iifname ${quote(hop.device)} ` : '';
  return `${byHop}${NFT_WORDS[family].ip} saddr ${address} goto ${name('answer')}`;
}

/** Addresses are rewritten as the one who is answered knows the workload. */
export function answerChain(at: SourceAddress): NftChain {
  const { forward, subnet, family, name, doors } = at;
  const { ip } = NFT_WORDS[family];
  const all = forward.only !== 'open';
  const away = `goto away_${family}`;
  const asked = `${ip} daddr . meta l4proto . th dport . th sport`;
  const as = ({ protocol, hostAddress, hostPort }: Door): string =>
    `${ip} saddr set ${hostAddress} ${protocol} sport set ${hostPort} ${away}`;
  // What else comes by another way is somebody's who has the address here now.
  const byHop = forward.hop === 'home' ? '' : `meta iifname ${quote(forward.hop.device)} `;
  const rest = doors
    .filter((door) => door.rest)
    .map((door) => `${byHop}${door.protocol} sport ${door.port} ${as(door)}`);
  return {
    name: name('answer'),
    rules: [
      toThisHost(at),
      ...openedAnswers(at, asked),
      ...doors.map((door) => `${door.protocol} sport ${door.port} ${asked} @${door.set} ${as(door)}`),
      ...(all ? [`${byHop}${ip} daddr ${subnet} ${away}`] : []),
      `meta l4proto { tcp, udp } ${asked} @${name('direct')} ${away}`,
      ...(all ? [...rest, `${byHop}${away}`] : []),
    ],
  };
}

/**
 * For programs of this host itself the rest of the way is the IP stack's. By the uplink a strict reverse path filter
 * would not let it in, by the stand-in it does.
 */
function toThisHost({ standIn }: SourceAddress): string {
  return `fib daddr type local ${standIn === undefined ? 'accept' : `fwd to ${quote(standIn)}`}`;
}

function openedAnswers({ opened, family, name }: SourceAddress, asked: string): string[] {
  if (opened.length === 0) return [];
  return [
    `${NFT_WORDS[family].ip} saddr set ${asked} map @${name('opened_address')}`,
    ...(['tcp', 'udp'] as const).map(
      (protocol) =>
        `meta l4proto ${protocol} ${protocol} sport set ${asked} map @${name('opened_port')} goto away_${family}`,
    ),
  ];
}
