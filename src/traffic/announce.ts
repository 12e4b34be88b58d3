/**
 * Tells the LAN where an address is: ARP requests for itself (RFC 5227, 3) and unsolicited neighbour advertisements. The
 * kernel sends them for every address of a device when it is given a MAC address, also the one that it has
 * (`dev_set_mac_address` always notifies; net/ipv4/devinet.c, net/ipv6/ndisc.c). So switches learn the port, and
 * neighbours that are asking have their answer.
 */
import type { Run } from '../exec/run.ts';
import { applyIp, readSysctls, setSysctls } from '../tools/ip-network.ts';
import type { OwnDevice } from './own-device.ts';

type Announced = Pick<OwnDevice, 'device' | 'mac'>;

/** Kernel parameters as they were. */
export type Settings = Readonly<Record<string, string>>;

/** Beforehand: from now on `announce` does it. Undo: `setSysctls` with what it resolves to. */
export async function prepareAnnouncement(inside: Run, devices: readonly Announced[]): Promise<Settings> {
  const keys = devices.flatMap(({ device }) => [
    `net.ipv4.conf.${device}.arp_notify`,
    `net.ipv6.conf.${device}.ndisc_notify`,
  ]);
  const before = await readSysctls(inside, keys);
  await setSysctls(inside, Object.fromEntries(keys.map((key) => [key, '1'])));
  return before;
}

/** What the namespace knows of its neighbours on these devices is forgotten by that, and asked for anew. */
export async function announce(inside: Run, devices: readonly Announced[]): Promise<void> {
  await applyIp(
    inside,
    devices.map(({ device, mac }) => ['link', 'set', 'dev', device, 'address', mac]),
  );
}
