/**
 * What a migration asks of an engine on the target. There is one maker for each copy; its steps are called in the order
 * in which they stand here.
 *
 * Obligations: whatever is made is told by `acquire` before, so that undo and recovery after a crash know of it; and
 * nothing of the copy runs before the restore is given its commit.
 */
import type { Duplex } from 'node:stream';
import type { Neighbour } from '../traffic/workload.ts';
import type { Rendezvous } from './docker/rendezvous.ts';

export interface MadeCopy {
  /** The engine's own. */
  id: string;
  /** What the user should know of the copy. */
  notes: string[];
}

/** A directory, or a single file, that a carried tree goes to: before the restore was begun, and after. */
export interface TreeRoot {
  first: string;
  final: string;
}

export interface RestoreStart {
  /** Where the memory images will be. */
  imagesDir: string;
  /** Where the standard streams of the workload lead, as its engine noted it. */
  descriptors: string[];
  criuOptions: string[];
  /** For nft in the copy's network namespace, before there is anything in it. */
  rules?: string;
}

/** A restore that waits for its images. */
export interface StartedRestore {
  rendezvous: Rendezvous;
  /** The engine's answer to the start: it comes when the copy runs. */
  started: Promise<void>;
}

export interface CopyMaker {
  /** What the cgroups of the copy's processes, and the restore's rendezvous, are called by; once it is made. */
  readonly key: string;
  /** Devices of its networks on this host, by the networks' names. */
  readonly bridges: ReadonlyMap<string, string>;
  /** Others on these networks. */
  readonly neighbours: readonly (Neighbour & { bridge: string })[];
  /** Makes the copy, under its final name, not started. */
  create(): Promise<MadeCopy>;
  /** Undefined where that is no tree of the workload's. */
  root(key: string): TreeRoot | undefined;
  /** What only this engine carries. */
  receive(purpose: 'image' | 'logs', stream: Duplex, signal: AbortSignal): Promise<void>;
  /** Begins the engine's start, as far as it comes without images. */
  start(start: RestoreStart): Promise<StartedRestore>;
  /** All files have come, the last differences too; CRIU is about to begin. */
  complete(signal: AbortSignal): Promise<void>;
  /** After the commit, where the engine did not answer well: whether it has the copy as one that runs. */
  isKept(): Promise<boolean>;
  /** After the commit, once the copy is an ordinary one of its engine: what became of it, where it has ended since. */
  ending(): Promise<string | undefined>;
}

/** What an engine may make on the target; see migration/resource.ts for how each is removed. */
type Made =
  | { kind: 'image'; id: string; tags: string[] }
  | { kind: 'network' | 'volume'; name: string }
  | { kind: 'directory'; path: string }
  | {
      kind: 'container';
      temporaryName: string;
      id?: string;
      restartPolicy: { Name: string; MaximumRetryCount?: number };
    }
  | { kind: 'guard' | 'rendezvous'; containerId: string }
  | { kind: 'files' | 'terminal'; path: string }
  | { kind: 'cgroup'; path: string; values?: [file: string, value: string][] };

export type Acquire = (made: Made) => Promise<void>;
