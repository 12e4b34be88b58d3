/**
 * Makes the copy, the bridges that it is on and its neighbours there known to each other. They would ask, but a bridge
 * that has just got its first port answers for its IPv6 addresses only when it has looked for duplicates of them, which
 * takes two seconds; and on a host that the copy comes home to, neighbours' answers go to its stand-in until it runs, and
 * it asks again a second later only.
 */
import type { Run } from '../exec/run.ts';
import { applyIp, type Network } from '../tools/ip-network.ts';
import { inNetworkOf } from '../tools/nsenter.ts';
import { familyOf } from './address.ts';
import type { TargetSide } from './forward.ts';
import { forPeers } from './stand-in.ts';
import type { InnerDevice, Neighbour } from './workload.ts';

export interface Introduction {
  /** Of the copy's first process, as this host sees it. */
  pid: number;
  inner: readonly InnerDevice[];
  sides: readonly Pick<TargetSide, 'id' | 'addresses'>[];
  /** Other containers of its networks on this host. */
  neighbours: readonly (Neighbour & { bridge: string })[];
  /** The host's. */
  network: Network;
}

/** Commands of ip: on the host, and in the copy's network namespace. */
interface Entries {
  outside: string[][];
  inside: string[][];
}

/** As if they had just answered: kernels ask again by themselves later. */
export async function introduce(run: Run, introduction: Introduction): Promise<void> {
  const { outside, inside } = entries(introduction);
  await Promise.all([applyIp(run, outside), applyIp(inNetworkOf(introduction.pid, run), inside)]);
}

/** Ports of bridges by which the copy's devices are reached. */
export function portsOf({ inner, network }: Pick<Introduction, 'inner' | 'network'>): { mac: string; port: string }[] {
  return inner.flatMap(({ mac, peer }) => {
    const port = network.devices.find(({ index, master }) => index === peer && master !== undefined);
    return port === undefined ? [] : [{ mac, port: port.name }];
  });
}

/**
 * From now on bridges give to the copy what is for its MAC addresses: on a host that it comes home to, a stand-in has
 * them still, which sends all to where it was. It also speaks by itself, its kernel asks for neighbours: a bridge follows
 * whoever sends from an address, unless it is sticky. Such an entry goes when the copy says nothing for minutes, or with
 * its port.
 */
export async function takePlace(run: Run, ports: readonly { mac: string; port: string }[]): Promise<void> {
  for (const { mac, port } of ports) {
    await run('bridge', ['fdb', 'replace', mac, 'dev', port, 'master', 'dynamic', 'sticky'], { timeoutMs: 20_000 });
  }
}

/** Pure. The neighbours that stayed behind are known by their stand-ins. */
export function entries({ inner, sides, neighbours, network }: Omit<Introduction, 'pid'>): Entries {
  const known = (address: string, mac: string, device: string): string[] => [
    ...['neighbour', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'reachable'],
  ];
  const addresses = sides.flatMap((side) => side.addresses);
  const pairs = addresses.flatMap(({ address, by = address, bridge: name }) => {
    const device = inner.find((one) => one.name !== 'lo' && one.addresses.some((mine) => mine.address === by));
    const bridge = network.devices.find((one) => one.name === name);
    return device === undefined || bridge === undefined ? [] : [{ by, device, bridge }];
  });
  const standIns = sides.flatMap(({ id, addresses }) => forPeers(id, addresses));
  const inside = pairs.flatMap(({ by, device, bridge }) => {
    const gateway = bridge.addresses.map(({ address }) => ({ address, mac: bridge.mac }));
    const peers = standIns
      .filter((standIn) => standIn.bridge === bridge.name)
      .flatMap(({ end, addresses }) => {
        const mac = network.devices.find(({ name }) => name === end)?.mac;
        return mac === undefined ? [] : addresses.map((address) => ({ address, mac }));
      });
    const here = neighbours.filter((one) => one.bridge === bridge.name && one.mac !== '');
    return [...gateway, ...peers, ...here]
      .filter(({ address }) => familyOf(address) === familyOf(by))
      .map(({ address, mac }) => known(address, mac, device.name));
  });
  return {
    outside: pairs.map(({ by, device, bridge }) => known(by, device.mac, bridge.name)),
    inside: [...new Map(inside.map((words) => [words.join(' '), words])).values()],
  };
}
