/**
 * Everything that happens in a migration, as one discriminated union. The terminal, `--json`, the journal and
 * `drayage watch` are readers of it; nothing in a migration prints.
 */
import type { SerializedError } from '../errors.ts';
import type { Finding } from './finding.ts';

/** The phases of design.md, in order; by restart there is `stop` in the place of the freeze and `start` in that of the restore. */
export const PHASES = [
  'survey',
  'preflight',
  'prepare',
  'precopy',
  'freeze',
  'stop',
  'dump',
  'transfer',
  'sync',
  'restore',
  'start',
  'commit',
  'release',
  'undo',
  // Of a replay, which rebuilds instead of moving: read the log, build the image, compare.
  'read',
  'build',
  'verify',
] as const;
export type Phase = (typeof PHASES)[number];

export type Outcome = 'committed' | 'undone' | 'unknown';

/** A stretch of time inside a migration: a phase, a step or an outside program. Milliseconds from the start. */
export interface Span {
  name: string;
  /** Where it ran. */
  side: 'source' | 'target';
  kind: 'phase' | 'step' | 'program';
  startMs: number;
  ms: number;
}

export interface MigrationResult {
  type: 'result';
  id: string;
  outcome: Outcome;
  /**
   * From the freeze or the stop until the workload ran on the target, as the source's clock saw it; null where it never
   * stood still.
   */
  outageMs: number | null;
  totalMs: number;
  /** Bytes that crossed to the target, all kinds together. */
  bytes: number;
  phases: { name: Phase; ms: number }[];
  /** Engine id of the copy; absent unless committed. */
  targetId?: string;
  /** Under which name the source's stopped copy is kept; absent where it was removed. */
  keptAs?: string;
  /** The image that a replay has built, and how much of the file system is alike, in percent. */
  rebuilt?: { image: string; score: number };
  /** Why it was undone, or what is unknown. */
  error?: SerializedError;
}

export type MigrationEvent = { /** Unix time in milliseconds. */ time: number; id: string } & (
  | { type: 'started'; workload: string; source: string; target: string; options: MigrateOptions }
  | { type: 'findings'; findings: Finding[] }
  | { type: 'phase'; phase: Phase }
  /** `total` and `rate` (bytes per second) are absent where they are not known. */
  | { type: 'progress'; phase: Phase; what: string; bytes: number; total?: number; rate?: number }
  | { type: 'span'; span: Span }
  | { type: 'note'; message: string }
  /** It has stopped until somebody removes what is in its way. */
  | { type: 'waiting'; error: SerializedError }
  | Proof
  | MigrationResult
);

/** What a replay has built, beside the container: paths with their modes, owners and content. */
export interface Proof {
  type: 'proof';
  /** Percent of the paths that are alike; 100 only where all are. */
  score: number;
  /** Paths that were compared. */
  paths: number;
  /** By name; as many as a journal's record holds. */
  differences: { path: string; what: string }[];
  /** How many have been told by events before; absent for none. */
  from?: number;
  /** Paths that differ. */
  differing: number;
}

/**
 * How the traffic follows the workload: the source forwards what comes to it (`forward`), the workload takes addresses of
 * its own on the LAN along (`address`), each where it applies (`auto`), or nothing is done.
 */
export const HANDOVERS = ['auto', 'forward', 'address', 'none'] as const;
export type Handover = (typeof HANDOVERS)[number];

/** Whether memory moves: `auto` takes live where nothing speaks against it, and asks before it takes restart. */
export const STRATEGIES = ['auto', 'live', 'restart'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface MigrateOptions {
  strategy: Strategy;
  /** With `auto`: take restart, without asking, where it cannot move live. */
  allowRestart: boolean;
  /** By restart: the copy is healthy when this address answers with a status below 400, as the target reaches it. */
  healthyUrl?: string;
  /** Delete the source's copy after commit instead of keeping it stopped under another name. */
  remove: boolean;
  /** Move bind mounts' content, too. */
  carryBinds: boolean;
  /** Go on although established connections will be lost. */
  dropConnections: boolean;
  handover: Handover;
  /** Files that differ on the target are replaced by those that a tree of processes uses. */
  replaceFiles: boolean;
  /** Of processes without an engine: they get a namespace of their own for their numbers, which others may have there. */
  pidNamespace?: boolean;
  /** Likewise: they see the files that come with them, and the target is left as it is. */
  privateRoot?: boolean;
  /** End after preflight. */
  dryRun: boolean;
  /** For an archive: the source goes on. What is made of it is a second copy. */
  leaveRunning?: boolean;
}

/** Whether what comes to the workload's addresses on bridges, and to its published ports, is to follow it. */
export function isForwarded({ handover }: Pick<MigrateOptions, 'handover'>): boolean {
  return handover === 'auto' || handover === 'forward';
}
