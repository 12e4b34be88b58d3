/**
 * What the source needs of the target, in the order in which it is called. The target's agent does it
 * (target-session.ts) and may refuse at any point; the source reaches it through the agents' connection.
 *
 * Obligations: until `commit` the copy never runs (by restart: until `start`), and losing the connection before makes
 * the target undo everything by itself. `commit` writes the commit record to disk before the copy runs. `outcome` is final: it makes a migration
 * that has not been committed impossible to commit.
 */
import type { Duplex } from 'node:stream';
import type { AnyWorkload, HostFacts, TreeQuestion, TreeSurroundings } from '../engines/facts.ts';
import type { DrayageError } from '../errors.ts';
import type { ShortFile } from '../files/short-files.ts';
import type { Listing, PruneResult } from '../files/target.ts';
import type { Network } from '../tools/ip-network.ts';
import type { Flow, Hop, WorkloadAddress } from '../traffic/facts.ts';
import type { Question } from '../traffic/in-use.ts';
import type { PathEnd, PathReport } from '../traffic/path-rules.ts';
import type { Tunnel } from '../traffic/tunnel.ts';
import type { Contents } from './archive/contents.ts';
import type { MigrateOptions, Span } from './events.ts';
import type { Repointed } from './older-forwards.ts';

/** What is carried over channels of their own, beside the calls. */
export type ChannelPurpose = 'image' | 'files' | 'tar' | 'changes' | 'logs' | 'memory';

export interface OpenTarget {
  id: string;
  workload: AnyWorkload;
  options: MigrateOptions;
  /** Id of the archive that it comes out of, whose streams may be sent again where one has failed. */
  archive?: string;
  /** Devices of the target that networks of the LAN hang on there, by the networks' names. */
  parents: Record<string, string>;
}

export interface CreatedCopy {
  containerId: string;
  /** What the user should know of the copy. */
  notes: string[];
}

/** How a commit ended: the copy runs, or it provably never ran and never will. */
export type CommitAnswer =
  | { outcome: 'running' /** For how long already, in milliseconds. */; sinceMs: number }
  | {
      outcome: 'aborted';
      reason: string;
      /** Where it says more than that the target refused. */
      error?: DrayageError;
    };

export type TargetOutcome = 'committed' | 'aborted' | 'unknown';

/** What the target must know of a workload's traffic before it runs there. */
export interface ArrivingTraffic {
  addresses: WorkloadAddress[];
  flows: Flow[];
  /** From the target to the source. */
  hop: Hop;
  tunnel?: Tunnel;
  /** Whose packets will come: of all clients, only of connections that are open now, or nobody's. */
  only: 'all' | 'open' | 'none';
  /** The source, as the target knows it. */
  from: { name: string; machine: string };
  /** Forwards of hosts that the workload was on before: the target's own, where it comes home to. */
  older: OlderForward[];
}

export interface OlderForward {
  id: string;
  workload: string;
  /** The host that it is the forward of. */
  peer: { name: string; machine: string };
  addresses: WorkloadAddress[];
  flows: Flow[];
  rank: number;
  home: boolean;
  /** From the target to that host; absent where it comes home. */
  hop?: Hop;
  tunnel?: Tunnel;
}

export interface HostNetwork {
  /** What tells the host from others. */
  machine: string;
  network: Network;
}

export interface TargetPort {
  /** Nobody answers: all is written down. Trees of files go packed (`tar`, `changes`), and `describe` is called. */
  readonly oneWay?: true;
  /** Calls up to the restore end at once when this aborts; what they began is undone by `abort`. */
  signal?: AbortSignal;
  /** Facts of the target host. */
  survey(): Promise<HostFacts>;
  /** What is there of, or in the way of, a tree of processes. */
  surveyTree(question: TreeQuestion): Promise<TreeSurroundings>;
  /** Sends packets to the source as a forward would, and takes those that the source sends meanwhile; see explore.ts. */
  path(end: PathEnd): Promise<PathReport>;
  /** Which of these addresses somebody on the host's own networks answers for. */
  inUse(questions: Question[]): Promise<string[]>;
  /** Begins a migration to this host. */
  open(request: OpenTarget): Promise<void>;
  /** Opens a bulk stream; what it carries is told by `purpose` and `meta`. Ends with the migration. */
  channel(id: string, purpose: ChannelPurpose, meta: unknown): Promise<Duplex>;
  /** Resolves when what was sent over image, files and logs channels so far is in place. */
  settle(id: string): Promise<void>;
  /** Makes networks, volumes and the container, under its final name, not started. */
  create(id: string): Promise<CreatedCopy>;
  /** Starts the engine's start, up to where it waits for the memory images, whose stream is open by now. */
  begin(id: string, start: { descriptors: string[] }): Promise<void>;
  /** What the frozen workload is made of, for whoever wants to know. */
  describe?(contents: Contents): Promise<void>;
  /**
   * Brings short files of a tree of the copy up to date, and puts all that has come in the freeze so far in place.
   * @returns false, and nothing is done, where one of them has not come before
   */
  rewrite(id: string, key: string, files: readonly ShortFile[]): Promise<boolean>;
  /** Deletes from a tree of the copy what is not listed, and tells what is listed and missing. */
  prune(id: string, key: string, listings: Listing[]): Promise<PruneResult>;
  /** Devices, addresses and routes of the host. */
  network(): Promise<HostNetwork>;
  /** A workload that this host had has moved on: what comes for it here is forwarded to there. */
  repoint(forward: string, to: Repointed): Promise<void>;
  /** All images are there: restores up to where nothing has run yet, and is ready for the workload's traffic. */
  restore(id: string, traffic?: ArrivingTraffic): Promise<void>;
  /**
   * By restart, all files are there: starts the copy as its engine does (one that did not run on the source stays
   * stopped), and is ready for the workload's traffic. From this call on the copy may run, until `abort` or `outcome`
   * has said that it does not.
   */
  start(id: string, traffic?: ArrivingTraffic): Promise<void>;
  /** By restart it waits until the copy is healthy, however the connection fares meanwhile; `abort` ends that. */
  commit(id: string): Promise<CommitAnswer>;
  /** The source's copy is retired: the copy becomes an ordinary container. Returns the target's spans. */
  release(id: string): Promise<{ spans: Span[]; notes: string[] }>;
  /** Undoes everything; nothing happens where nothing was begun. Refused after commit. */
  abort(id: string, reason: string): Promise<{ spans: Span[] }>;
  outcome(id: string): Promise<TargetOutcome>;
  /** What a human decided where the outcome is unknown; nothing happens where it is known. */
  resolve(id: string, keep: 'source' | 'target'): Promise<void>;
  /** Resolves, never rejects, when the connection is over, and why where that was not meant. */
  readonly lost: Promise<DrayageError | undefined>;
  close(): Promise<void>;
}
