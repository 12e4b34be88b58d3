/** What a host's kernel and programs can do for traffic; plain JSON, for preflight. */
import { ProgramError, type Run } from '../exec/run.ts';
import { applyIp, deleteDevices, type Network, readNetwork } from '../tools/ip-network.ts';
import { refusalOf, replaceTable } from '../tools/nft.ts';
import { applyTc, handOver, shutQueue, takeFilters } from '../tools/tc.ts';
import { holdDevices } from './names.ts';

export interface TrafficFacts {
  /** Why rule sets of the netdev family are not taken; null where they are. */
  forwardRefused: string | null;
  /** The same for the hook behind a device (since Linux 5.16), where a bridge's packets are held. */
  egressRefused: string | null;
  /** The same for queues that hold packets (tbf, mirred, u32), and for vxlan. */
  queueRefused: string | null;
  tunnelRefused: string | null;
  /** `net.ipv4.conf.*.rp_filter`: 1 is strict, and `all` counts for every device. */
  reversePathFilter: Record<string, number>;
  network: Network;
}

/** Makes a pair of devices that nobody uses, for a moment; changes nothing else. */
export async function probeTraffic(run: Run): Promise<TrafficFacts> {
  const forward = rules('ingress', ['ip daddr set 192.0.2.1 fwd ip to 192.0.2.2 device "lo"']);
  const egress = rules('egress', ['fwd to "lo"']);
  const [network, forwardRefused, egressRefused, reversePathFilter] = await Promise.all([
    readNetwork(run),
    refusal(() => refusalOf(run, forward)),
    refusal(() => refusalOf(run, egress)),
    readReversePathFilter(run),
  ]);
  const queueRefused = await refusal(() => tryQueue(run));
  const tunnelRefused = await refusal(() => tryTunnel(run));
  return { forwardRefused, egressRefused, queueRefused, tunnelRefused, reversePathFilter, network };
}

function rules(hook: 'ingress' | 'egress', list: readonly string[]): string {
  const chain = { name: 'c', hook: { type: 'filter', hook, priority: 0, devices: ['lo'] }, rules: list } as const;
  return replaceTable({ family: 'netdev', name: 'drayage_probe', objects: [], chains: [chain] });
}

const PROBE = holdDevices('probe', 0);

async function tryQueue(run: Run): Promise<null> {
  await deleteDevices(run, [PROBE.near]);
  try {
    await applyIp(run, [['link', 'add', PROBE.near, 'type', 'veth', 'peer', 'name', PROBE.far]]);
    await applyTc(run, [shutQueue(PROBE.near), takeFilters(PROBE.far), handOver(PROBE.far, 'lo', 'ingress')]);
    return null;
  } finally {
    await deleteDevices(run, [PROBE.near]);
  }
}

async function tryTunnel(run: Run): Promise<null> {
  await deleteDevices(run, [PROBE.near]);
  try {
    // Never up: any number and port will do.
    await applyIp(run, [['link', 'add', PROBE.near, 'type', 'vxlan', 'id', '1', 'dstport', '4788', 'dev', 'lo']]);
    return null;
  } finally {
    await deleteDevices(run, [PROBE.near]);
  }
}

/** A program that is missing is told as one that refuses. */
async function refusal(attempt: () => Promise<string | null>): Promise<string | null> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof ProgramError) return error.message;
    throw error;
  }
}

async function readReversePathFilter(run: Run): Promise<Record<string, number>> {
  const { stdout } = await run('grep', ['-r', '.', '/proc/sys/net/ipv4/conf', '--include=rp_filter'], {
    okCodes: [0, 1, 2],
    timeoutMs: 20_000,
  });
  return parseReversePathFilter(stdout);
}

/** `/proc/sys/net/ipv4/conf/eth0/rp_filter:2` */
function parseReversePathFilter(text: string): Record<string, number> {
  const lines = [...text.matchAll(/conf\/(\S+)\/rp_filter:(\d)/g)];
  return Object.fromEntries(lines.map(([, device = '', value]) => [device, Number(value)]));
}
