/** Pure: what a move by restart will carry, what it loses, and how long it takes at most. */
import { healthOf, SETTLE_MS } from '../engines/docker/health.ts';
import type { WorkloadFacts } from '../engines/facts.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import type { MigrateOptions } from './events.ts';
import type { ContainerFacts } from './facts.ts';
import { makePlan, type Plan } from './plan.ts';

export interface RestartPlan {
  /** In words: `2.1 MiB of memory`, `3 open connections`. */
  lost: string[];
  /** That it has to stop; most programs need a small part of it. */
  stopMs: number;
  /** At most, all together; 0 where it does not run. */
  outageMs: number;
  /** How it is told that the copy is well. */
  healthy: 'url' | 'healthcheck' | 'running';
}

/** Seconds that Docker gives a container to stop where it was not told (moby container.DefaultStopTimeout). */
const STOP_SECONDS = 10;
const FOR_EVER_MS = 3_600_000;
/** For the engine to start the smallest container. */
const START_MS = 1000;
/** A program that has to be asked whether it is well has begun by then, as a rule. */
const BEGIN_MS = 2000;
/** For a tree of files, until both of its ends have begun; files a second that the last pass looks at. */
const TREE_MS = 250;
const WALK_RATE = 50_000;

export function makeRestartPlan(facts: ContainerFacts, options: MigrateOptions): Plan {
  const { workload } = facts;
  const plan = makePlan(facts, options);
  const { Config } = workload.inspect as Partial<ContainerInspect>;
  const isRunning = workload.state === 'running';
  const healthy = healthOf(Config ?? {}, options.healthyUrl).by;
  const stopMs = isRunning ? stopMsOf(workload) : 0;
  const entries = plan.trees.reduce((sum, tree) => sum + tree.entries, 0);
  const syncMs = TREE_MS * plan.trees.length + Math.round((1000 * entries) / WALK_RATE);
  const startMs = START_MS + (healthy === 'running' ? SETTLE_MS : BEGIN_MS);
  const outageMs = isRunning ? stopMs + syncMs + startMs : 0;
  return {
    ...plan,
    strategy: 'restart',
    memoryBytes: 0,
    predictedOutageMs: outageMs,
    predictedBytes: plan.predictedBytes - plan.memoryBytes,
    restart: { lost: isRunning ? lostOf(workload) : [], stopMs, outageMs, healthy },
  };
}

/** Milliseconds that it has to stop before it is killed; a negative number of seconds is for ever. */
export function stopMsOf({ inspect }: Pick<WorkloadFacts, 'inspect'>): number {
  const seconds = (inspect as Partial<ContainerInspect>).Config?.StopTimeout ?? STOP_SECONDS;
  return seconds < 0 ? FOR_EVER_MS : 1000 * seconds;
}

/** What a restart loses of a workload that runs. */
function lostOf({ memoryBytes, inspect, ...workload }: WorkloadFacts): string[] {
  const connections = openConnections(workload);
  const tmpfs = tmpfsMounts(inspect as Partial<ContainerInspect>);
  return [
    `what it has in memory (${Math.max(1, Math.round(memoryBytes / 2 ** 20))} MiB)`,
    ...(connections === 0 ? [] : [connections === 1 ? 'an open connection' : `${connections} open connections`]),
    ...(tmpfs.length === 0 ? [] : [`what is in ${tmpfs.join(' and ')}`]),
  ];
}

export function openConnections({ processes }: Pick<WorkloadFacts, 'processes'>): number {
  const open = processes.flatMap(({ obstacles }) => obstacles.filter(({ kind }) => kind === 'tcp-established'));
  return new Set(open.map(({ detail }) => detail)).size;
}

/** Places in the container whose content is in memory. */
export function tmpfsMounts({ HostConfig, Mounts }: Partial<ContainerInspect>): string[] {
  const mounted = (Mounts ?? []).filter(({ Type }) => Type === 'tmpfs').map(({ Destination }) => Destination);
  return [...new Set([...Object.keys(HostConfig?.Tmpfs ?? {}), ...mounted])];
}
