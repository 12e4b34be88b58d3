/**
 * Pure: one address of a workload that this host forwards for, as the rules need it: how clients know it, and the sets
 * that remember them. Sets are its own, so that answers need no further key.
 */
import type { Route } from '../tools/ip-network.ts';
import { type Family, familyOf, NFT_WORDS } from './address.ts';
import type { Flow, Hop, HostPort, PublishedPort, WorkloadAddress } from './facts.ts';
import { standInDevices } from './names.ts';
import { elements, idle } from './rule-words.ts';

export interface SourceForward {
  id: string;
  published: readonly PublishedPort[];
  addresses: readonly WorkloadAddress[];
  /** Open at the freeze. */
  flows: readonly Flow[];
  /** To the host that has the workload now; `home` where it has come back, and its flows must still be rewritten. */
  hop: Hop | 'home';
  /** Nothing new is forwarded any more: only what is in `flows`, until it ends. */
  only?: 'open';
  /** Bridges on which another container has got one of the workload's addresses: there these are not the workload's. */
  yielded?: readonly string[];
  /** Ports of this host that other containers publish by now: what is opened from then on is theirs. */
  given?: readonly HostPort[];
  /** The host's own address by which clients know the workload, where nothing was learned of them. */
  primary: { 4?: string; 6?: string };
}

/** What is of this moment and this kernel, and looked up again whenever the rules are made. */
export interface SourceSurroundings {
  routes: readonly Route[];
  /** The host's own addresses. One that it gets later is answered for as if it were the primary one. */
  local: readonly string[];
  /** By which packets come in that were not looked at yet: uplinks, bridges, far ends of their lanes, the tunnel. */
  outer: readonly string[];
  /** By which those come that the IP stack or the bridge has sent to the workload: stand-ins, far ends of its port's lane. */
  inner: readonly string[];
}

export interface SourceAddress extends WorkloadAddress {
  forward: SourceForward;
  family: Family;
  /** Tells its sets and chains from those of other addresses. */
  name(what: string): string;
  doors: readonly Door[];
  /** The host's own addresses, of its family. */
  local: readonly string[];
  /** Ports of the host that lead to it. */
  ports: readonly PublishedPort[];
  /** Connections that the workload opened, and that NAT changed. */
  opened: readonly (Flow & { known: { address: string; port: number } })[];
  /** The port of its stand-in on its bridge; absent where that is not there. */
  standIn?: string;
  /** Somebody else has it here now. */
  isYielded: boolean;
}

/** By which of the host's addresses and ports a client knows a port of the workload. */
export interface Door {
  protocol: 'tcp' | 'udp';
  hostAddress: string;
  hostPort: number;
  port: number;
  /** The set of those clients. */
  set: string;
  /** For all of whom nothing else is known: only neighbours on the workload's network are learned then. */
  rest: boolean;
}

export function sourceAddresses(
  forward: SourceForward,
  { local, inner }: Pick<SourceSurroundings, 'local'> & Partial<Pick<SourceSurroundings, 'inner'>>,
): SourceAddress[] {
  return forward.addresses.map((at, index) => {
    const family = familyOf(at.address);
    const name = (what: string): string => `${what}_${index}`;
    const ports = forward.published.filter(({ address }) => address === at.address);
    const own = local.filter((address) => familyOf(address) === family);
    const standIn = standInAt(forward, at.bridge, inner ?? []);
    return {
      ...at,
      ...{ forward, family, name, ports, local: own },
      isYielded: isYielded(forward, at),
      doors: doorsOf(ports, own, forward.primary[family]).map((door, n) => ({ ...door, set: name(`through_${n}`) })),
      opened: forward.flows.flatMap((flow) =>
        flow.address === at.address && flow.by === 'workload' && flow.known !== undefined
          ? [{ ...flow, known: flow.known }]
          : [],
      ),
      ...(standIn !== undefined && { standIn }),
    };
  });
}

/** Whether the address is another container's on this host by now. */
export function isYielded({ yielded = [] }: Pick<SourceForward, 'yielded'>, { bridge }: WorkloadAddress): boolean {
  return yielded.includes(bridge);
}

/** Who knows it how, with what was open at the freeze. */
export function addressSets({ forward, address, family, name, doors, opened, local }: SourceAddress): string[] {
  const { type } = NFT_WORDS[family];
  // Whom: the other end's address, protocol and port, and the workload's port.
  const key = `${type} . inet_proto . inet_service . inet_service`;
  const bounds = 'flags dynamic,timeout; size 262144; timeout 5d;';
  const whom = ({ peer, protocol, peerPort, port }: Flow): string => `${peer} . ${protocol} . ${peerPort} . ${port}`;
  const byPeers = forward.flows.filter((flow) => flow.address === address && flow.by === 'peer');
  const direct = byPeers.filter(({ known }) => known === undefined);
  const directly = direct.map((flow) => `${whom(flow)}${forward.only === 'open' ? whileSpoken(flow) : ''}`);
  return [
    ...doors.flatMap((door) => {
      const through = byPeers.filter((flow) => isThrough(flow, door));
      const clients = through.map((one) => `${one.peer} . ${one.protocol} . ${one.peerPort}${whileSpoken(one)}`);
      const flags = door.protocol === 'udp' ? `flags dynamic,timeout; size ${Math.max(1, clients.length)}; ` : '';
      return [
        `set ${door.set} { type ${key}; ${bounds} ${elements(through.map(whom))} }`,
        ...(forward.only === 'open'
          ? [`set ${openSet(door.set)} { type ${type} . inet_proto . inet_service; ${flags}${elements(clients)} }`]
          : []),
      ];
    }),
    `set ${name('direct')} { type ${key}; ${bounds} ${elements(directly)} }`,
    `set ${name('theirs')} { type ${key}; ${bounds} }`,
    `set ${name('given')} { type ${type} . inet_proto . inet_service; ${elements(givenElements(forward, local, family))} }`,
    ...(opened.length === 0
      ? []
      : [
          `map ${name('opened')} { type ${type} . inet_proto . inet_service . ${type} . inet_service : inet_service; ${elements(
            opened.map(
              (f) => `${f.peer} . ${f.protocol} . ${f.peerPort} . ${f.known.address} . ${f.known.port} : ${f.port}`,
            ),
          )} }`,
          `map ${name('opened_address')} { type ${key} : ${type}; ${elements(opened.map((f) => `${whom(f)} : ${f.known.address}`))} }`,
          `map ${name('opened_port')} { type ${key} : inet_service; ${elements(opened.map((f) => `${whom(f)} : ${f.known.port}`))} }`,
        ]),
  ];
}

/** Of clients whose connections are older than the workload's return; those by UDP are in it while they speak. */
export function openSet(set: string): string {
  return `open_${set}`;
}

/** Sets in which clients by UDP are for as long as they speak, in a table for what was open. */
export const SPOKEN_SETS = /^(open|direct)_/;

/** TCP says when a connection is over. */
function whileSpoken({ protocol }: Flow): string {
  return protocol === 'udp' ? ` timeout ${idle('udp')}` : '';
}

/** Address, protocol and port of each that is given away, as sets have them. */
export function givenElements(
  { given = [] }: Pick<SourceForward, 'given'>,
  local: readonly string[],
  family: Family,
): string[] {
  return given.flatMap(({ protocol, hostAddress, hostPort }) => {
    const asked = hostAddress === undefined ? local : [hostAddress];
    return asked.filter((one) => familyOf(one) === family).map((one) => `${one} . ${protocol} . ${hostPort}`);
  });
}

/** A set of clients that know a port of the workload by one address and port of the host. */
export interface LearnedSet {
  name: string;
  address: string;
  protocol: 'tcp' | 'udp';
  port: number;
  known: { address: string; port: number };
  /** For all that are in no other set. */
  rest: boolean;
}

/** What of the rules holds who knows the workload how; see `flowsKnown`. */
export function learnedSets(forward: SourceForward, local: readonly string[]): LearnedSet[] {
  return sourceAddresses(forward, { local }).flatMap(({ address, doors }) =>
    doors.map(({ set, protocol, port, hostAddress, hostPort, rest }) => ({
      name: set,
      ...{ address, protocol, port, rest },
      known: { address: hostAddress, port: hostPort },
    })),
  );
}

/** The last of a port is for all clients of whom nothing is known: a UDP service may speak first, a reboot forgets. */
function doorsOf(
  ports: readonly PublishedPort[],
  own: readonly string[],
  primary: string | undefined,
): Omit<Door, 'set'>[] {
  const all = ports.flatMap(({ protocol, hostAddress, hostPort, port }) =>
    (hostAddress === undefined ? own : [hostAddress]).map((address) => ({
      ...{ protocol, hostAddress: address, hostPort, port },
    })),
  );
  const perPort = Map.groupBy(all, ({ protocol, port }) => `${protocol} ${port}`);
  return [...perPort.values()].flatMap((doors) => {
    const known = doors.find(({ hostAddress }) => hostAddress === primary) ?? doors[0];
    return doors.map((door) => ({ ...door, rest: door === known }));
  });
}

function standInAt({ id, addresses }: SourceForward, bridge: string, inner: readonly string[]): string | undefined {
  const bridges = [...new Set(addresses.map((one) => one.bridge))];
  const standIns = bridges.map((_, index) => standInDevices(id, index));
  // They are numbered by the bridges that there are.
  const areThere = standIns.every(({ end }) => inner.includes(end));
  return areThere ? standIns[bridges.indexOf(bridge)]?.port : undefined;
}

function isThrough(flow: Flow, door: Door): boolean {
  const { known } = flow;
  return (
    known !== undefined &&
    flow.protocol === door.protocol &&
    flow.port === door.port &&
    known.address === door.hostAddress &&
    known.port === door.hostPort
  );
}
