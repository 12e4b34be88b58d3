/** Whether the workload's addresses are free on the target's networks. */
import { PREDEFINED_NETWORKS } from '../../engines/docker/predefined-networks.ts';
import type { WorkloadAddress } from '../../traffic/facts.ts';
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

/** On the default bridge the engine chooses addresses: what is taken there is none that the copy gets. */
export function checkTakenAddresses(c: Case): Finding[] {
  const addresses = c.workload.traffic?.addresses ?? [];
  return addresses.filter(({ network = '' }) => !PREDEFINED_NETWORKS.includes(network)).flatMap((one) => taken(c, one));
}

export const TAKEN_FINDINGS = {
  ADDRESS_TAKEN: {
    severity: 'blocks',
    meaning: 'The workload keeps its address, by which open connections know it.',
    remedy: 'Remove what has that address on the target, or give that another one.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(TAKEN_FINDINGS);

function taken(c: Case, at: WorkloadAddress): Finding[] {
  const { name, target, exploration } = c;
  const { address, network } = at;
  const inUse = `${address} of ${name} is in use on ${target.hostname}`;
  const container = target.docker?.networks.find((one) => one.name === network)?.addresses[address];
  if (container !== undefined)
    return [raise('ADDRESS_TAKEN', `${inUse}, by the container ${container}.`, instead(c, at))];
  const devices = target.traffic?.network.devices ?? [];
  const device = devices.find((one) => one.addresses.some((own) => own.address === address));
  if (device !== undefined) return [raise('ADDRESS_TAKEN', `${inUse}, by its device ${device.name}.`)];
  if (!exploration?.answered.includes(address)) return [];
  return [raise('ADDRESS_TAKEN', `${inUse}: somebody on the network ${network} answers for it.`)];
}

/**
 * A network whose subnet the engine chose gives the copy another address, and nothing tells such a one from others
 * beforehand; it matters where the address was asked for, or connections are open.
 */
function instead({ workload, container, options }: Case, { address, network = '' }: WorkloadAddress): Partial<Entry> {
  const { IPv4Address, IPv6Address } = container.endpoints[network]?.IPAMConfig ?? {};
  const isConnected = workload.processes.some(({ obstacles }) =>
    obstacles.some(({ kind }) => kind === 'tcp-established'),
  );
  if (address === IPv4Address || address === IPv6Address || (isConnected && !options.dropConnections)) return {};
  return {
    severity: 'costs',
    meaning:
      'The copy gets another address where that network takes its addresses from the engine; else it cannot be started, and the move is undone.',
  };
}
