/**
 * Pure: the rule sets of an address move. A macvlan device is given its packets by its parent after the parent's ingress
 * hook, and by other macvlan devices of the same parent directly; what it sends passes the parent's egress hook. So there
 * are rules in two places: on the parent, and in the workload's own namespace for what never comes to the parent.
 *
 * Tables are put in place beforehand and let all through; what happens in the freeze adds rules (docs/decisions/0009).
 */
import { type NftTable, quote } from '../tools/nft.ts';
import type { HoldSpec, Lane } from './hold-rules.ts';
import { tableName } from './names.ts';
import type { OwnDevice } from './own-device.ts';

export type AddressMove = {
  /** Of its own: a forward of the same migration has the migration's. */
  id: string;
  own: readonly OwnDevice[];
  /** Of the parents, by name. */
  macs: Readonly<Record<string, string>>;
};

const PRIORITY = -600;
/** The highest index there is. */
const NO_DEVICE = 2 ** 31 - 1;
const DISCOVERY = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }';

/** What comes by the parents waits in lanes like those of a forward; ARP and neighbour discovery go on. */
export function addressHold({ id, own }: AddressMove): HoldSpec {
  const addresses = own.flatMap(({ addresses, mac, parent }) =>
    addresses.map((address) => {
      const subnet = `${address}/${address.includes(':') ? 128 : 32}`;
      return { address, subnet, mac, bridge: parent, peers: [] };
    }),
  );
  return { id, published: [], addresses, flows: [], uplinks: parentsOf(own) };
}

/** On the host that the workload leaves. */
export function parentTable({ id, own, macs }: AddressMove, lanes: readonly Lane[]): NftTable {
  return {
    family: 'netdev',
    name: tableName('own', id),
    objects: [],
    chains: [
      {
        name: 'sent',
        hook: { type: 'filter', hook: 'egress', priority: PRIORITY, devices: parentsOf(own) },
        rules: [],
      },
      // Met when the lanes are opened towards the target. A switch must not take the client for one of this host's; and
      // what opens a queue is an ARP request, by which others would take the lane's MAC address for this host's.
      ...lanes.map(({ far, device }, index) => ({
        name: `onward_${index}`,
        hook: { type: 'filter' as const, hook: 'ingress' as const, priority: PRIORITY, devices: [far] },
        rules: own
          .filter(({ parent }) => parent === device)
          .map(({ mac }) => `ether daddr ${mac} ether saddr set ${macs[device]} fwd to ${quote(device)}`),
      })),
    ],
  };
}

/** In the workload's namespace on the host that it leaves. */
export function innerTable({ id, own }: AddressMove): NftTable {
  const devices = own.map(({ device }) => device);
  return {
    family: 'netdev',
    name: tableName('own', id),
    objects: [],
    chains: (['ingress', 'egress'] as const).map((hook) => ({
      name: hook,
      hook: { type: 'filter', hook, priority: PRIORITY, devices },
      rules: [],
    })),
  };
}

/** In the workload's namespace: what its neighbours on the same parent send does not reach it any more. */
export function unheardRules({ id }: AddressMove): string {
  return noPackets(id, 'ingress');
}

/** In the workload's namespace: what its kernel sends by itself gets nowhere; it goes on answering for its address. */
export function unsaidRules({ id }: AddressMove): string {
  return noPackets(id, 'egress');
}

/** In the workload's namespace: it does not answer for its address any more. */
export function goneRules({ id }: AddressMove): string {
  const table = `netdev ${tableName('own', id)}`;
  return ['ingress', 'egress'].map((chain) => `insert rule ${table} ${chain} drop`).join('\n');
}

/** As `arrivalTable` and `copySeal` begin, where they have been opened: `inside` is for the copy's namespace. */
export function shutRules({ id, own }: Pick<AddressMove, 'id' | 'own'>): { outside: string; inside: string } {
  const table = tableName('own', id);
  return {
    outside: own.map(({ mac }) => `insert rule netdev ${table} sent ${unheard(mac)}`).join('\n'),
    inside: ['ingress', 'egress'].map((chain) => `insert rule inet ${table} ${chain} drop`).join('\n'),
  };
}

/** On a parent: nothing with an address of the workload gets onto the LAN. */
export function silentRules({ id, own }: AddressMove): string {
  return own.map(({ mac }) => `add rule netdev ${tableName('own', id)} sent ether saddr ${mac} drop`).join('\n');
}

/**
 * Lets all through again; no error where there is no such table. The chains are those of `parentTable`, `innerTable`,
 * `arrivalTable` or `copySeal`.
 */
export function openRules({ id }: Pick<AddressMove, 'id'>, family: 'netdev' | 'inet', chains: string[]): string {
  const table = `${family} ${tableName('own', id)}`;
  const opened = chains.flatMap((chain) => [`add chain ${table} ${chain}`, `insert rule ${table} ${chain} accept`]);
  return [`add table ${table}`, ...opened].join('\n');
}

/**
 * On the parents of the target, from before the copy's devices are made until the commit. Docker 28 announces a new
 * container, and does not start it where that fails: a `drop` in an egress hook fails the sender (ENOBUFS), and what is
 * sent to a device that nobody has does not (nf_fwd_netdev_egress frees it, and the verdict is "stolen").
 */
export function arrivalTable({ id, own }: Omit<AddressMove, 'macs'>): NftTable {
  const hook = { type: 'filter', hook: 'egress', priority: PRIORITY, devices: parentsOf(own) } as const;
  const rules = own.map(({ mac }) => unheard(mac));
  return { family: 'netdev', name: tableName('own', id), objects: [], chains: [{ name: 'sent', hook, rules }] };
}

/**
 * In the copy's namespace, which has no devices yet: until the commit it neither hears nor says anything, or it would
 * refuse what neighbours on the same parent send for connections that it does not know yet. They may hear of its
 * address, which is the one that they know; Docker 28 insists on it.
 */
export function copySeal({ id }: Pick<AddressMove, 'id'>): NftTable {
  const chain = (name: string, hook: 'prerouting' | 'output', passing: string[]) => ({
    name,
    hook: { type: 'filter' as const, hook, priority: PRIORITY },
    rules: [...passing.map((rule) => `${rule} accept`), 'drop'],
  });
  const chains = [
    chain('ingress', 'prerouting', ['iifname "lo"']),
    chain('egress', 'output', ['oifname "lo"', DISCOVERY]),
  ];
  return { family: 'inet', name: tableName('own', id), objects: [], chains };
}

function unheard(mac: string): string {
  return `ether saddr ${mac} fwd to ${NO_DEVICE}`;
}

function noPackets(id: string, chain: 'ingress' | 'egress'): string {
  const rule = `add rule netdev ${tableName('own', id)} ${chain}`;
  return [`${rule} ${DISCOVERY} accept`, `${rule} meta protocol { ip, ip6 } drop`].join('\n');
}

function parentsOf(own: readonly OwnDevice[]): string[] {
  return [...new Set(own.map(({ parent }) => parent))];
}
