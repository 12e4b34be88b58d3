/** Whether clients and connections can follow the workload, and what of them cannot. */
import type { ContainerInspect } from '../../tools/docker-types.ts';
import type { Network } from '../../tools/ip-network.ts';
import { familyOf } from '../../traffic/address.ts';
import type { TrafficFacts } from '../../traffic/capabilities.ts';
import type { PublishedPort, WorkloadAddress } from '../../traffic/facts.ts';
import type { PathResult } from '../../traffic/path.ts';
import { ingressDevices } from '../../traffic/routes.ts';
import { type Way, wayBetween } from '../../traffic/way.ts';
import { isForwarded } from '../events.ts';
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { CLIENT_FINDINGS, checkClients } from './clients.ts';
import { checkWay, WAY_FINDINGS } from './way.ts';

export interface TrafficCase {
  /** Of the workload, as users know it. */
  name: string;
  /** And how it is called where it is forwarded: `docker:web`. */
  workload: string;
  source: TrafficHost;
  target: TrafficHost;
  published: readonly PublishedPort[];
  addresses: readonly WorkloadAddress[];
  clients: readonly string[];
  servers: readonly string[];
  /** Its ports are reached by IPv6, and that by the engine's proxy. */
  proxied?: boolean;
  /** null where the hosts do not reach each other. */
  way: Way | null;
  /** What became of packets that were sent by it; absent where none were. */
  path?: PathResult;
  /** Why none were, where that is not told by another finding. */
  untried?: string;
}

interface TrafficHost {
  hostname: string;
  traffic: TrafficFacts;
}

/** Nothing where nothing is to be forwarded. */
export function checkTraffic({ name, workload, container, source, target, options, exploration }: Case): Finding[] {
  if (!isForwarded(options) || workload.traffic === undefined || workload.traffic.addresses.length === 0) return [];
  if (source.traffic === undefined || target.traffic === undefined) return [];
  const [here, there] = [source.traffic.network, target.traffic.network];
  const bridges = [...here.devices, ...there.devices].filter(({ kind }) => kind === 'bridge');
  return trafficFindings({
    name,
    workload: `${workload.ref.engine}:${workload.ref.name}`,
    source: { hostname: source.hostname, traffic: source.traffic },
    target: { hostname: target.hostname, traffic: target.traffic },
    ...workload.traffic,
    proxied: isProxied(container.inspect.NetworkSettings, here, source.docker?.version ?? ''),
    way: exploration?.way ?? wayBetween(here, there, { bridges: bridges.map((device) => device.name) }),
    ...(exploration?.path && { path: exploration.path }),
    ...(exploration?.untried !== undefined && { untried: exploration.untried }),
  });
}

/** Docker publishes by IPv6, too, where nobody says otherwise; from version 27 on it translates that where it can. */
function isProxied({ Ports, Networks }: ContainerInspect['NetworkSettings'], host: Network, docker: string): boolean {
  const isPublished = Object.values(Ports ?? {}).some((bindings) => bindings?.some(({ HostIp }) => HostIp === '::'));
  const isReached = ingressDevices(host).some(
    ({ kind, addresses }) =>
      kind !== 'bridge' && addresses.some(({ address, scope }) => familyOf(address) === 6 && scope === 'global'),
  );
  const isTranslated =
    Object.values(Networks).some((one) => one.GlobalIPv6Address) && Number.parseInt(docker, 10) >= 27;
  return isPublished && isReached && !isTranslated;
}

export function trafficFindings(c: TrafficCase): Finding[] {
  return [...checkWay(c), ...checkClients(c)];
}

export const TRAFFIC_FINDINGS = { ...WAY_FINDINGS, ...CLIENT_FINDINGS } as const;
