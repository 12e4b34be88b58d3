/** Pure: everything that speaks against a move, or that the user should know beforehand, from the facts alone. */
import { type AnyWorkload, type HostFacts, isTree, type ProcessTreeFacts } from '../engines/facts.ts';
import type { MigrateOptions } from './events.ts';
import type { ContainerFacts, Facts } from './facts.ts';
import type { Finding } from './finding.ts';
import { makePlan } from './plan.ts';
import { type Case, type SourceCase, sourceCase, treeCase } from './preflight/case.ts';
import { checkMounts, MOUNT_FINDINGS } from './preflight/files.ts';
import { checkFirewall, FIREWALL_FINDINGS } from './preflight/firewall.ts';
import { checkHost, HOST_FINDINGS } from './preflight/hosts.ts';
import { checkBelongings, checkNames, NAME_FINDINGS } from './preflight/names.ts';
import { checkObstacles, OBSTACLE_FINDINGS } from './preflight/obstacles.ts';
import { checkOverlays, OVERLAY_FINDINGS } from './preflight/overlays.ts';
import { ADDRESS_FINDINGS, checkAddresses, checkOwnAddresses } from './preflight/own-addresses.ts';
import { checkPair, PAIR_FINDINGS } from './preflight/pair.ts';
import { checkPorts, PORT_FINDINGS } from './preflight/ports.ts';
import { byRestart, RESTART_FINDINGS } from './preflight/restart.ts';
import { checkOwnRoom, checkRoom, ROOM_FINDINGS } from './preflight/room.ts';
import { checkTakenAddresses, TAKEN_FINDINGS } from './preflight/taken-addresses.ts';
import { checkTraffic, TRAFFIC_FINDINGS } from './preflight/traffic.ts';
import { checkTree, checkTreeOnTarget, checkTreeProcesses } from './preflight/tree.ts';
import { TREE_FINDINGS } from './preflight/tree-findings.ts';
import { checkWorkload, WORKLOAD_FINDINGS } from './preflight/workload.ts';

/** All findings at once: those that block first, then costs, then notes, each in the order of the checks. */
export function preflight({ workload, source, target, exploration }: Facts, options: MigrateOptions): Finding[] {
  if (isTree(workload)) return sorted(treeFindings({ workload, source, target }, options));
  const c: Case = { ...sourceCase(workload, source, options), target, ...(exploration && { exploration }) };
  const findings = [
    ...sourceFindings(c),
    ...checkHost(target),
    ...checkPair(c),
    ...checkOverlays(c),
    ...checkFirewall(c),
    ...checkNames(c),
    ...checkPorts(c),
    ...checkTakenAddresses(c),
    ...checkRoom(c),
    ...checkTraffic(c),
    ...checkAddresses(c),
  ];
  return sorted(findings);
}

/** The same for a move by restart. */
export function preflightRestart(facts: ContainerFacts, options: MigrateOptions): Finding[] {
  return sorted(byRestart(preflight(facts, options), sourceCase(facts.workload, facts.source, options)));
}

/** Only what has to do with the target: for an archive, about whose source all has been said. */
export function preflightTarget({ workload, source, target }: Facts, options: MigrateOptions): Finding[] {
  if (isTree(workload)) return sorted(targetTreeFindings({ workload, source, target }, options));
  const c: Case = { ...sourceCase(workload, source, options), target };
  return sorted([
    ...checkHost(target),
    ...checkPair(c),
    ...checkOverlays(c),
    ...checkFirewall(c),
    ...checkNames(c),
    ...checkPorts(c),
    ...checkTakenAddresses(c),
    ...checkRoom(c),
    ...checkAddresses(c),
  ]);
}

/** What hinders a live move as far as the source alone can tell: `uses io_uring`, without details, for `drayage ps`. */
export function sourceHindrances(workload: AnyWorkload, source: HostFacts): string[] {
  const options: MigrateOptions = {
    ...{ strategy: 'live', allowRestart: false, remove: false, carryBinds: false, dropConnections: false },
    ...{ handover: 'auto', replaceFiles: false, dryRun: true },
  };
  const findings = isTree(workload)
    ? sourceTreeFindings(workload, source, options)
    : sourceFindings(sourceCase(workload, source, options));
  return findings
    .filter(({ severity }) => severity === 'blocks')
    .map(({ message }) => shortly(message, workload.ref.name));
}

/** Messages name the workload first, and tell their details after a colon. */
function shortly(message: string, name: string): string {
  const sentence = message.startsWith(`${name} `) ? message.slice(name.length + 1) : message;
  return sentence.replace(/: .*$|\.$/s, '');
}

/** What every code of preflight means, for the documentation; where one is raised, it may be made more precise. */
export const FINDINGS = {
  ...WORKLOAD_FINDINGS,
  ...OBSTACLE_FINDINGS,
  ...MOUNT_FINDINGS,
  ...HOST_FINDINGS,
  ...PAIR_FINDINGS,
  ...OVERLAY_FINDINGS,
  ...FIREWALL_FINDINGS,
  ...NAME_FINDINGS,
  ...PORT_FINDINGS,
  ...TAKEN_FINDINGS,
  ...ROOM_FINDINGS,
  ...TRAFFIC_FINDINGS,
  ...RESTART_FINDINGS,
  ...TREE_FINDINGS,
  ...ADDRESS_FINDINGS,
} as const;

export type FindingCode = keyof typeof FINDINGS;

const ORDER = { blocks: 0, costs: 1, note: 2 } as const;

function sourceFindings(c: SourceCase): Finding[] {
  return [
    ...checkWorkload(c),
    ...checkObstacles(c),
    ...checkMounts(c),
    ...checkBelongings(c),
    ...checkOwnAddresses(c),
    ...checkHost(c.source),
    ...checkOwnRoom(c),
  ];
}

function sorted(findings: Finding[]): Finding[] {
  return findings.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}

type TreeFacts = Facts & { workload: ProcessTreeFacts };

function treeFindings(facts: TreeFacts, options: MigrateOptions): Finding[] {
  const { workload, source, target } = facts;
  return [...sourceTreeFindings(workload, source, options, target), ...targetTreeFindings(facts, options)];
}

function targetTreeFindings(facts: TreeFacts, options: MigrateOptions): Finding[] {
  const { workload, source, target } = facts;
  const name = nameOf(workload);
  const tree = treeCase(workload, source, options);
  const { trees } = makePlan(facts, options);
  const c: Case = {
    ...{ ...tree, name, target: { ...target, docker: null } },
    workload: { ...tree.workload, files: trees },
  };
  return [
    ...ofTrees(checkHost(target)),
    ...checkPair(c),
    ...checkTreeOnTarget({ workload, name, source, target, options }),
    ...checkRoom(c),
  ];
}

function sourceTreeFindings(
  workload: ProcessTreeFacts,
  source: HostFacts,
  options: MigrateOptions,
  target?: HostFacts,
): Finding[] {
  const name = nameOf(workload);
  const c = { ...treeCase(workload, source, options), name };
  return [
    ...checkTree({ workload, name, options }),
    ...checkTreeProcesses(c, target),
    ...ofTrees(checkHost(source)),
    ...checkOwnRoom(c),
  ];
}

/** `process 4711 (redis-server)` */
function nameOf({ pid, program }: ProcessTreeFacts): string {
  return `process ${pid} (${program})`;
}

/** Docker and runc have no part in it. */
function ofTrees(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ code }) => /^(NO_ROOT$|CRIU_|TOOL_MISSING$|RSYNC_TOO_OLD$)/.test(code));
}
