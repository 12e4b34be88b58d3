/**
 * Makes the copy and the bridges that it is on known to each other. They would ask, but a bridge that has just got its
 * first port answers for its IPv6 addresses only when it has looked for duplicates of them, which takes two seconds.
 */
import type { Run } from '../exec/run.ts';
import { applyIp, type Network } from '../tools/ip-network.ts';
import type { WorkloadAddress } from './facts.ts';
import type { InnerDevice } from './workload.ts';

export interface Introduction {
  /** Of the copy's first process, as this host sees it. */
  pid: number;
  inner: readonly InnerDevice[];
  addresses: readonly Pick<WorkloadAddress, 'address' | 'by' | 'bridge'>[];
  /** The host's. */
  network: Network;
}

/** As if they had just answered: kernels ask again by themselves later. */
export async function introduce(run: Run, introduction: Introduction): Promise<void> {
  const { outside, inside } = entries(introduction);
  const { pid } = introduction;
  const within: Run = (program, args, options) =>
    run('nsenter', ['--target', String(pid), '--net', program, ...args], options);
  await Promise.all([applyIp(run, outside), applyIp(within, inside)]);
}

/** Pure: what is to be carried out on the host, and in the copy's network namespace. */
export function entries({ inner, addresses, network }: Introduction): { outside: string[][]; inside: string[][] } {
  const known = (address: string, mac: string, device: string): string[] => [
    ...['neighbour', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'reachable'],
  ];
  const pairs = addresses.flatMap(({ address, by = address, bridge: name }) => {
    const device = inner.find((one) => one.name !== 'lo' && one.addresses.some((mine) => mine.address === by));
    const bridge = network.devices.find((one) => one.name === name);
    return device === undefined || bridge === undefined ? [] : [{ by, device, bridge }];
  });
  const inside = pairs.flatMap(({ device, bridge }) =>
    bridge.addresses.map(({ address }) => known(address, bridge.mac, device.name).join(' ')),
  );
  return {
    outside: pairs.map(({ by, device, bridge }) => known(by, device.mac, bridge.name)),
    inside: [...new Set(inside)].map((line) => line.split(' ')),
  };
}
