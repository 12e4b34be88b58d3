/** Hosts with a router between them: packets for the workload travel in UDP (vxlan), from host to host. */
import { createHash } from 'node:crypto';
import type { Run } from '../exec/run.ts';
import { applyIp, deleteDevices } from '../tools/ip-network.ts';
import { namesDevice } from '../tools/nft.ts';
import type { Family } from './address.ts';
import { trialDevice, tunnelDevice } from './names.ts';

export interface Tunnel {
  device: string;
  /** Outer addresses. */
  here: string;
  there: string;
  network: number;
  mac: string;
  theirMac: string;
}

/** Not the usual 4789 and 8472, which overlay networks use with filters of their own. */
const TUNNEL_PORT = 4788;
/** The other end, within the device. */
export const INNER_ADDRESSES = { 4: '169.254.231.1', 6: 'fe80::d7a9' } as const satisfies Record<Family, string>;

/** Outer IPv6, UDP, vxlan and Ethernet headers: what a packet must leave free. */
const OVERHEAD = { 4: 50, 6: 70 } as const;

/** One per pair of hosts; both come to the same from their addresses alone. */
export function tunnelBetween(here: string, there: string): Tunnel {
  const ends = [here, there].sort();
  const digest = createHash('sha256').update(ends.join(' ')).digest();
  const mac = (end: string): string =>
    [
      '02',
      'd7',
      ...[...digest.subarray(4, 7)].map((byte) => byte.toString(16).padStart(2, '0')),
      end === ends[0] ? '00' : '01',
    ].join(':');
  return {
    device: tunnelDevice(ends.join(' ')),
    here,
    there,
    network: digest.readUIntBE(0, 3),
    mac: mac(here),
    theirMac: mac(there),
  };
}

/**
 * One beside it between the same hosts, for a trial: what forwards use is left alone.
 * @param role which of the two this host is in the trial; each host may try the other at the same time
 */
export function trialTunnel(tunnel: Tunnel, role: 'source' | 'target'): Tunnel {
  const [from, to] = role === 'source' ? [tunnel.here, tunnel.there] : [tunnel.there, tunnel.here];
  const network = tunnel.network ^ (from < to ? 1 : 2);
  return { ...tunnel, device: trialDevice(`${from} ${to}`), network };
}

/** Segments of new connections that need no fragmenting on a way that takes `mtu` bytes. */
export function tunnelSegment(mtu: number, family: Family): number {
  return mtu - OVERHEAD[family] - 40;
}

/** Removes it where no forward needs it any more; one that is only being prepared makes it again. */
export async function dropTunnel(run: Run, { device }: Tunnel): Promise<void> {
  if (!(await namesDevice(run, device))) await deleteDevices(run, [device]);
}

/** Makes it where it is not there. Connections that are older send larger packets: these go in fragments. */
export async function ensureTunnel(run: Run, tunnel: Tunnel, present: readonly string[]): Promise<void> {
  if (present.includes(tunnel.device)) return;
  const { device, here, there, network, mac, theirMac } = tunnel;
  await applyIp(run, [
    [
      'link',
      'add',
      device,
      'address',
      mac,
      'mtu',
      '1500',
      'type',
      'vxlan',
      'id',
      String(network),
      'local',
      here,
      'remote',
      there,
    ].concat(['dstport', String(TUNNEL_PORT), 'nolearning', ...(here.includes(':') ? [] : ['df', 'unset'])]),
    ['link', 'set', device, 'up'],
    ['neighbour', 'replace', INNER_ADDRESSES[4], 'lladdr', theirMac, 'dev', device, 'nud', 'permanent'],
  ]);
  // Without IPv6 there is nothing to forward of it.
  await applyIp(run, [
    ['neighbour', 'replace', INNER_ADDRESSES[6], 'lladdr', theirMac, 'dev', device, 'nud', 'permanent'],
  ]).catch(() => {});
}
