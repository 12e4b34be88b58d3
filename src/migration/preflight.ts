/** Pure: everything that speaks against a move, or that the user should know beforehand, from the facts alone. */
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import type { MigrateOptions } from './events.ts';
import type { Facts } from './facts.ts';
import type { Finding } from './finding.ts';
import { type Case, type SourceCase, sourceCase } from './preflight/case.ts';
import { checkMounts, MOUNT_FINDINGS } from './preflight/files.ts';
import { checkFirewall, FIREWALL_FINDINGS } from './preflight/firewall.ts';
import { checkHost, HOST_FINDINGS } from './preflight/hosts.ts';
import { checkBelongings, checkNames, NAME_FINDINGS } from './preflight/names.ts';
import { checkObstacles, OBSTACLE_FINDINGS } from './preflight/obstacles.ts';
import { checkOverlays, OVERLAY_FINDINGS } from './preflight/overlays.ts';
import { ADDRESS_FINDINGS, checkAddresses, checkOwnAddresses } from './preflight/own-addresses.ts';
import { checkPair, PAIR_FINDINGS } from './preflight/pair.ts';
import { checkPorts, PORT_FINDINGS } from './preflight/ports.ts';
import { checkOwnRoom, checkRoom, ROOM_FINDINGS } from './preflight/room.ts';
import { checkTakenAddresses, TAKEN_FINDINGS } from './preflight/taken-addresses.ts';
import { checkTraffic, TRAFFIC_FINDINGS } from './preflight/traffic.ts';
import { checkWorkload, WORKLOAD_FINDINGS } from './preflight/workload.ts';

/** All findings at once: those that block first, then costs, then notes, each in the order of the checks. */
export function preflight({ workload, source, target, exploration }: Facts, options: MigrateOptions): Finding[] {
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
  return findings.sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
}

/** What hinders a live move as far as the source alone can tell: `uses io_uring`, without details, for `drayage ps`. */
export function sourceHindrances(workload: WorkloadFacts, source: HostFacts): string[] {
  const options: MigrateOptions = {
    ...{ remove: false, carryBinds: false, dropConnections: false },
    ...{ handover: 'auto', dryRun: true },
  };
  return sourceFindings(sourceCase(workload, source, options))
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
