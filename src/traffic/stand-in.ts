/**
 * A port on a bridge that stands in the place of what is on the other host. On the source it has the workload's own
 * MAC address, so that peers go on sending to it what their neighbour tables say; on the target it stands for the peers
 * that stayed behind. Neighbour discovery is answered by the kernel's proxy entries; packets are taken at its other end.
 */
import type { Run } from '../exec/run.ts';
import { applyIp, deleteDevices, readNetwork, setSysctls } from '../tools/ip-network.ts';
import { familyOf } from './address.ts';
import type { WorkloadAddress } from './facts.ts';
import { standInDevices } from './names.ts';

export interface StandIn {
  bridge: string;
  port: string;
  end: string;
  /** Its end's own, by which it answers. */
  linkLocal: string;
  /** Its own; absent for any. */
  mac?: string;
  /** Those it answers for. */
  addresses: string[];
}

/** Nobody is asked for it, and none of the host's programs has it for its own. */
const END_ADDRESS = '169.254.231.5';

/** One per bridge: for the workload's addresses there. */
export function forWorkload(id: string, addresses: readonly WorkloadAddress[]): StandIn[] {
  return perBridge(id, addresses, ({ address }) => [address]).map((one) => {
    const mac = addresses.find(({ bridge }) => bridge === one.bridge)?.mac;
    return mac === undefined || mac === '' ? one : { ...one, mac };
  });
}

/** One per bridge: for the peers that stayed behind. */
export function forPeers(id: string, addresses: readonly WorkloadAddress[]): StandIn[] {
  return perBridge(id, addresses, ({ peers }) => peers).filter((one) => one.addresses.length > 0);
}

function perBridge(
  id: string,
  addresses: readonly WorkloadAddress[],
  standsFor: (address: WorkloadAddress) => readonly string[],
): StandIn[] {
  const bridges = [...new Set(addresses.map(({ bridge }) => bridge))];
  return bridges.map((bridge, index) => ({
    bridge,
    ...standInDevices(id, index),
    addresses: [...new Set(addresses.filter((one) => one.bridge === bridge).flatMap(standsFor))],
  }));
}

/** Makes it, not yet on the bridge: two ports with one MAC address would be in each other's way. */
export async function makeStandIn(run: Run, { port, end, linkLocal, mac, addresses }: StandIn): Promise<void> {
  await deleteDevices(run, [port]);
  await applyIp(run, [
    ['link', 'add', port, 'type', 'veth', 'peer', 'name', end],
    ...(mac === undefined ? [] : [['link', 'set', end, 'address', mac]]),
  ]);
  const settings = (device: string, family: 'ipv4' | 'ipv6') => `net.${family}.conf.${device}`;
  await setSysctls(run, {
    // Peers are on the bridge by the routes, and ask here. Where `all` is strict, 0 would be, too, and 2 is loose
    // (ip-sysctl.rst: the larger one counts); it needs an address (fib_validate_source).
    [`${settings(end, 'ipv4')}.rp_filter`]: '2',
    [`${settings(end, 'ipv4')}.forwarding`]: '1',
    // Proxy entries are answered after a random part of this by default.
    [`net.ipv4.neigh.${end}.proxy_delay`]: '0',
    [`${settings(port, 'ipv6')}.disable_ipv6`]: '1',
    // By its MAC address it would get the link-local address of the workload, which finds it taken when it comes home.
    [`${settings(end, 'ipv6')}.addr_gen_mode`]: '1',
    [`${settings(end, 'ipv6')}.accept_dad`]: '0',
    [`${settings(end, 'ipv6')}.accept_ra`]: '0',
    [`${settings(end, 'ipv6')}.forwarding`]: '1',
    [`${settings(end, 'ipv6')}.proxy_ndp`]: '1',
    [`net.ipv6.neigh.${end}.proxy_delay`]: '0',
  });
  await applyIp(run, [
    ['link', 'set', end, 'up'],
    ['link', 'set', port, 'up'],
    ['address', 'add', `${END_ADDRESS}/32`, 'dev', end, 'scope', 'host'],
  ]);
  for (const family of [4, 6] as const) {
    const mine = addresses.filter((address) => familyOf(address) === family);
    const own = family === 6 ? [['address', 'add', `${linkLocal}/64`, 'dev', end, 'nodad']] : [];
    const entries = mine.map((address) => ['neighbour', 'replace', 'proxy', address, 'dev', end]);
    // A kernel may be without IPv6.
    await applyIp(run, [...own, ...entries]).catch((error: unknown) => {
      if (family === 4) throw error;
    });
  }
}

/** Puts it on the bridge, in the place of the workload's own port where that is still there. */
export async function placeStandIn(run: Run, { bridge, port, mac, addresses }: StandIn): Promise<void> {
  await applyIp(run, [['link', 'set', port, 'master', bridge]]);
  if (mac === undefined) return;
  // A bridge follows whoever sends from an address, a copy too that comes home and has not run yet, unless it is sticky.
  await run('bridge', ['fdb', 'replace', mac, 'dev', port, 'master', 'static', 'sticky'], { timeoutMs: 20_000 });
  // The host's own packets: a proxy does not answer its own host.
  await applyIp(
    run,
    addresses.map((address) => ['neighbour', 'replace', address, 'lladdr', mac, 'dev', bridge, 'nud', 'permanent']),
  );
}

/** Nothing where it is not there: what is known of its addresses is then of the workload, or of a later stand-in. */
export async function removeStandIn(run: Run, { bridge, port, mac, addresses }: StandIn): Promise<void> {
  const { devices } = await readNetwork(run);
  if (!devices.some(({ name }) => name === port)) return;
  if (mac !== undefined) {
    for (const address of addresses) {
      await run('ip', ['neighbour', 'delete', address, 'dev', bridge], { okCodes: [0, 1, 2, 255], timeoutMs: 20_000 });
    }
  }
  await deleteDevices(run, [port]);
}
