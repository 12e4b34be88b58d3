/** What no facts tell, and only a trial does: it takes a tenth of a second, and nothing of it stays on either host. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { contains, familyOf } from '../traffic/address.ts';
import { questionsFor } from '../traffic/in-use.ts';
import { type PathResult, tryPath } from '../traffic/path.ts';
import type { Heard, PathEnd } from '../traffic/path-rules.ts';
import { trialTunnel } from '../traffic/tunnel.ts';
import { type Way, wayBetween } from '../traffic/way.ts';
import { isForwarded, type MigrateOptions } from './events.ts';
import type { TargetPort } from './target-port.ts';

export interface Exploration {
  /** Addresses of the workload that somebody on the target's networks answers for. */
  answered: string[];
  /** How packets are to get to the target, and what became of those that were sent that way; absent where none were. */
  way?: Way;
  path?: PathResult;
  /** Why none were sent, where that is not told by what is lacking anyway. */
  untried?: string;
}

export interface Explorer {
  run: Run;
  signal: AbortSignal;
  target: Pick<TargetPort, 'path' | 'inUse'>;
  /** One trial of this host's after another. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

interface Surveyed {
  workload: WorkloadFacts;
  source: HostFacts;
  target: HostFacts;
}

export async function explore(
  explorer: Explorer,
  { workload, source, target }: Surveyed,
  options: Pick<MigrateOptions, 'handover'>,
): Promise<Exploration> {
  const { traffic } = workload;
  if (traffic === undefined || source.traffic === undefined || target.traffic === undefined) return { answered: [] };
  const questions = questionsFor(traffic.addresses, target.traffic.network);
  const ways = isForwarded(options) ? waysToTry(source.traffic, target.traffic) : [];
  const ends = endsOf(traffic);
  const [answered, tried] = await Promise.all([
    questions.length === 0 ? [] : explorer.target.inUse(questions),
    ends === undefined ? {} : explorer.exclusively(() => tryWays(explorer, ways, ends)),
  ]);
  return { answered, ...tried };
}

type Traffic = NonNullable<HostFacts['traffic']>;

/** The plain one first, and where packets are lost on it, wrapped; none where a kernel takes no rules for it anyway. */
function waysToTry(source: Traffic, target: Traffic): Way[] {
  if ([source, target].some(({ nft, forwardRefused }) => nft === null || forwardRefused !== null)) return [];
  const devices = [...source.network.devices, ...target.network.devices];
  const bridges = devices.filter(({ kind }) => kind === 'bridge').map(({ name }) => name);
  const first = wayBetween(source.network, target.network, { bridges });
  const wrapped = wayBetween(source.network, target.network, { bridges, force: 'tunnel' });
  const canWrap = source.tunnelRefused === null && target.tunnelRefused === null;
  const ways = [first, first?.tunnel === undefined ? wrapped : null];
  return ways.filter((way) => way !== null).filter(({ tunnel }) => tunnel === undefined || canWrap);
}

type Ends = Pick<PathEnd, 'workload' | 'client'>;

/** From TEST-NET-3 (RFC 5737) where no client is known: an address that is neither host's. */
const SOMEBODY = '203.0.113.1';

function endsOf({ addresses, clients }: NonNullable<WorkloadFacts['traffic']>): Ends | undefined {
  const workload = addresses.find(({ address }) => familyOf(address) === 4);
  if (workload === undefined) return undefined;
  const isFar = (client: string): boolean => familyOf(client) === 4 && !contains(workload.subnet, client);
  return { workload: workload.address, client: clients.find(isFar) ?? SOMEBODY };
}

type Tried = Omit<Exploration, 'answered'>;

/** The first by which all gets through; else by which small packets do; else the first, with what was lost. */
async function tryWays(explorer: Explorer, ways: readonly Way[], ends: Ends): Promise<Tried> {
  const tried: Tried[] = [];
  for (const way of ways) {
    tried.push(await tryWay(explorer, way, ends));
    if (tried.some((one) => passes(one, 'large'))) break;
  }
  return tried.find((one) => passes(one, 'large')) ?? tried.find((one) => passes(one, 'small')) ?? tried[0] ?? {};
}

async function tryWay(explorer: Explorer, way: Way, ends: Ends): Promise<Tried> {
  const { source, target } = way.hop;
  if (source.via[4] === undefined || target.via[4] === undefined) return { way };
  const end = (role: PathEnd['role']): PathEnd => {
    const tunnel = way.tunnel && trialTunnel(way.tunnel[role], role);
    return {
      role,
      ...ends,
      hop: { ...way.hop[role], ...(tunnel && { device: tunnel.device }) },
      ...(tunnel && { tunnel }),
    };
  };
  try {
    const path = await tryPath(explorer, end('source'), () => explorer.target.path(end('target')));
    const untried =
      path.there === undefined || path.back === undefined ? 'its own packet filter let none out' : undefined;
    return { way, path, ...(untried !== undefined && { untried }) };
  } catch (error) {
    explorer.signal.throwIfAborted();
    return { way, untried: DrayageError.from(error).message };
  }
}

/** Where nothing is known, nothing speaks against it. */
function passes({ path }: Tried, size: keyof Heard): boolean {
  return [path?.there, path?.back].every((heard) => heard === undefined || heard[size]);
}
