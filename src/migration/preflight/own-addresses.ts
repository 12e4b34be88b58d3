/** Whether addresses of its own on the LAN can go along with the workload. */
import type { OwnDevice } from '../../traffic/own-device.ts';
import type { Finding } from '../finding.ts';
import { lanNetworks } from '../plan.ts';
import type { Case, SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

/** What already the source tells. */
export function checkOwnAddresses(c: SourceCase): Finding[] {
  const own = ownOf(c);
  const { handover } = c.options;
  if (handover === 'address' && own.length === 0)
    return [raise('NO_OWN_ADDRESS', `${c.name} has no address of its own on the LAN.`)];
  if (handover === 'forward' && own.length > 0)
    return [raise('OWN_ADDRESS_NOT_FORWARDED', `${c.name} is on the LAN itself: ${told(own)}.`)];
  return [];
}

export function checkAddresses(c: Case): Finding[] {
  const own = ownOf(c);
  if (own.length === 0) return [];
  return [...parentFindings(c), ...ruleFindings(c), ...neighbourFindings(c), ...optionFindings(c, own)];
}

export const ADDRESS_FINDINGS = {
  NO_OWN_ADDRESS: {
    severity: 'blocks',
    meaning: "It is reached by this host's addresses, which stay with this host.",
    remedy: 'Leave --handover out: this host then forwards to the target what comes for it.',
  },
  OWN_ADDRESS_NOT_FORWARDED: {
    severity: 'blocks',
    meaning: 'Such an address does not go by way of this host, which therefore cannot forward it.',
    remedy: 'Leave --handover out: the address moves along.',
  },
  NO_DEVICE_ON_LAN: {
    severity: 'blocks',
    meaning: 'The address belongs to a LAN, and answers nowhere else.',
    remedy: 'Choose a target on the same LAN, with its device up and an address of that LAN on it.',
  },
  LAN_NOT_SURE: {
    severity: 'costs',
    meaning: 'Neither has an address by which one could tell. On another LAN nobody would reach the copy.',
    remedy: 'See that both hang on the same switch and VLAN; an address on each of them would tell.',
  },
  PARENT_DIFFERS: {
    severity: 'blocks',
    meaning: 'The copy would hang on that device, and not be on the LAN that knows its address.',
    remedy: 'Remove that network on the target if it is not needed; drayage makes one on the right device.',
  },
  ADDRESS_RULES_REFUSED: {
    severity: 'blocks',
    meaning: 'Two hosts would answer for one address during the move, and connections would end.',
    remedy: 'Install nftables, on Linux 5.16 or newer (hooks of the netdev family).',
  },
  ADDRESS_HOLD_DROPS: {
    severity: 'costs',
    meaning:
      'What comes during the freeze is dropped and sent again by its senders: connections live on after a longer pause.',
    remedy: 'Give the source a kernel with the queue tbf, the action mirred and the filter u32.',
  },
  NEIGHBOURS_DROPPED: {
    severity: 'note',
    meaning:
      'What neighbours on the same device send goes past the queue: during the freeze it is dropped, and they send it again.',
    remedy: 'Nothing is to be done: their connections live on, after a pause that may be twice as long.',
  },
  BRIDGES_NOT_FOLLOWED: {
    severity: 'costs',
    meaning:
      'With --handover address only its own addresses move; what comes to published ports of this host is refused.',
    remedy: 'Leave --handover out, and both are done.',
  },
  KEPT_COPY_HAS_ADDRESS: {
    severity: 'note',
    meaning: 'Started again, it would answer for the same address, and disturb the one that has moved.',
    remedy: 'Do not start it while the moved one runs, or move with --remove.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(ADDRESS_FINDINGS);

function ownOf({ workload }: SourceCase): readonly OwnDevice[] {
  return workload.traffic?.own ?? [];
}

function told(own: readonly OwnDevice[]): string {
  return own.flatMap(({ addresses }) => addresses.filter((address) => !address.startsWith('fe80:'))).join(', ');
}

function parentFindings(c: Case): Finding[] {
  const { name, source, target } = c;
  return lanNetworks(c).flatMap(({ network, parent, there, existing }) => {
    if (there === null)
      return [
        raise(
          'NO_DEVICE_ON_LAN',
          `${target.hostname} has no device on the LAN of ${parent}, where ${name} has its address.`,
        ),
      ];
    if (existing !== undefined && existing !== there.device) {
      const where = `hangs on ${existing} on ${target.hostname}, and the LAN of ${source.hostname} is at ${there.device} there`;
      return [raise('PARENT_DIFFERS', `The network ${network.Name} ${where}.`)];
    }
    return there.sure
      ? []
      : [raise('LAN_NOT_SURE', `${there.device} of ${target.hostname} is taken for the LAN of ${parent} here.`)];
  });
}

function ruleFindings({ source, target }: Case): Finding[] {
  const refusals = [source, target].flatMap(({ hostname, traffic }) => {
    const why = traffic?.forwardRefused ?? traffic?.egressRefused;
    return why == null ? [] : [raise('ADDRESS_RULES_REFUSED', `${hostname} does not take rules of that kind: ${why}`)];
  });
  const queue = source.traffic?.queueRefused ?? null;
  return [
    ...refusals,
    ...(queue === null ? [] : [raise('ADDRESS_HOLD_DROPS', `${source.hostname} cannot let packets wait: ${queue}`)]),
  ];
}

function neighbourFindings(c: Case): Finding[] {
  const { workload, source, target } = c;
  return lanNetworks(c).flatMap(({ network }) => {
    const here = Object.keys(network.Containers ?? {}).filter((id) => id !== workload.id).length;
    const there = target.docker?.networks.find(({ name }) => name === network.Name)?.containers ?? 0;
    return [...(here > 0 ? [source.hostname] : []), ...(there > 0 ? [target.hostname] : [])].map((host) =>
      raise('NEIGHBOURS_DROPPED', `Other containers of ${host} are on the network ${network.Name}.`),
    );
  });
}

function optionFindings({ name, workload, options }: Case, own: readonly OwnDevice[]): Finding[] {
  const bridged = (workload.traffic?.addresses.length ?? 0) > 0;
  return [
    ...(options.handover === 'address' && bridged
      ? [raise('BRIDGES_NOT_FOLLOWED', `${name} is on a bridge of this host, too.`)]
      : []),
    ...(options.remove ? [] : [raise('KEPT_COPY_HAS_ADDRESS', `The stopped copy of ${name} keeps ${told(own)}.`)]),
  ];
}
