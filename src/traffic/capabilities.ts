/** What a host's kernel and programs can do for traffic; plain JSON, for preflight. */
import { ProgramError, type Run } from '../exec/run.ts';
import { applyIp, deleteDevices, type Network } from '../tools/ip-network.ts';
import { nftVersion, refusalOf } from '../tools/nft.ts';
import { applyTc, handOver, shutQueue, takeFilters } from '../tools/tc.ts';
import type { PublishedPort } from './facts.ts';
import { holdDevices } from './names.ts';
import { sampleEgress, sampleForwards } from './sample.ts';

export interface TrafficFacts {
  /** null where nft is not there. */
  nft: string | null;
  /** Why the rules of forwards are not taken; null where they are. */
  forwardRefused: string | null;
  /** The same for the hook behind a device (since Linux 5.16), where a bridge's packets are held. */
  egressRefused: string | null;
  /** The same for queues that hold packets (tbf, mirred, u32), and for vxlan. */
  queueRefused: string | null;
  tunnelRefused: string | null;
  network: Network;
  /** What this host forwards for workloads that it had. */
  forwards: ForwardedHere[];
}

export interface ForwardedHere {
  /** As users know it, `docker:web`. */
  workload: string;
  published: PublishedPort[];
  addresses: string[];
}

/** What does not change while a host is up, but for what its administrator loads and installs. */
export type Capabilities = Omit<TrafficFacts, 'network' | 'forwards'>;

/** Makes a pair of devices that nobody uses, for a moment; changes nothing else. */
export async function probeTraffic(run: Run): Promise<Capabilities> {
  const [nft, forwardRefused, egressRefused] = await Promise.all([
    nftVersion(run),
    refusal(() => refusalOf(run, sampleForwards())),
    refusal(() => refusalOf(run, sampleEgress())),
  ]);
  const queueRefused = await refusal(() => tryQueue(run));
  const tunnelRefused = await refusal(() => tryTunnel(run));
  return { nft, forwardRefused, egressRefused, queueRefused, tunnelRefused };
}

/** Whether there is nothing that an administrator could still mend. */
export function isAble({ nft, ...refusals }: Capabilities): boolean {
  return nft !== null && Object.values(refusals).every((why) => why === null);
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
