/** One migration on its source: what every step works with. */
import type { Duplex } from 'node:stream';
import type { HostFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { type Run, runner } from '../exec/run.ts';
import { Docker } from '../tools/docker.ts';
import type { Relays } from '../traffic/relays.ts';
import type { ForwardStore } from '../traffic/store.ts';
import type { MigrateOptions, MigrationEvent, Phase } from './events.ts';
import type { Journal } from './journal.ts';
import type { ChannelPurpose, TargetPort } from './target-port.ts';
import { Trace } from './trace.ts';

/** An event before it is stamped with time and id. */
type NewEvent = MigrationEvent extends infer E ? (E extends unknown ? Omit<E, 'time' | 'id'> : never) : never;

export interface SourceMigrationOptions {
  id: string;
  /** As the user named it. */
  workload: string;
  /** As the user named it. */
  to: string;
  options: MigrateOptions;
  target: TargetPort;
  /** Reaches the target anew after its connection was lost. */
  redial: () => Promise<TargetPort>;
  /** Reaches another host that has to do with the workload. */
  reach: (host: string) => Promise<TargetPort>;
  forwards: ForwardStore;
  relays: Relays;
  /** This host, as others may know it. */
  self: { name: string; machine: string };
  journal: Journal;
  /** The agent is being stopped: what waits for an engine or a peer is left to its next start. */
  stopping: AbortSignal;
  /** Keeps other migrations off the container; throws WORKLOAD_BUSY where one has it. */
  claim: (containerId: string) => void;
  /** Facts of this host. */
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  /** One trial of what this host can do after another; see explore.ts. */
  exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

export class SourceMigration {
  readonly id: string;
  readonly workload: string;
  readonly to: string;
  readonly options: MigrateOptions;
  target: TargetPort;
  readonly redial: () => Promise<TargetPort>;
  readonly reach: (host: string) => Promise<TargetPort>;
  readonly forwards: ForwardStore;
  readonly relays: Relays;
  readonly self: { name: string; machine: string };
  readonly journal: Journal;
  readonly stopping: AbortSignal;
  readonly claim: (containerId: string) => void;
  readonly hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  readonly trace: Trace;
  readonly docker: Docker;
  readonly run: Run;
  /** Why it is to be undone, once somebody asked or the target was lost. */
  cancelled: DrayageError | undefined;
  /** What a human decides while it is in doubt. */
  readonly decided: Promise<'source' | 'target'>;
  readonly decide: (keep: 'source' | 'target') => void;
  /** When the target's clock of this migration began, on this one's. */
  targetOffsetMs = 0;
  /** Bytes that crossed so far. */
  bytes = 0;
  readonly #cancel = new AbortController();

  constructor({
    id,
    workload,
    to,
    options,
    target,
    redial,
    reach,
    forwards,
    relays,
    self,
    journal,
    stopping,
    claim,
    hostFacts,
    exclusively,
  }: SourceMigrationOptions) {
    this.id = id;
    this.workload = workload;
    this.to = to;
    this.options = options;
    this.target = target;
    this.redial = redial;
    this.reach = reach;
    this.forwards = forwards;
    this.relays = relays;
    this.self = self;
    this.journal = journal;
    this.stopping = stopping;
    this.claim = claim;
    this.hostFacts = hostFacts;
    this.exclusively = exclusively;
    ({ promise: this.decided, resolve: this.decide } = Promise.withResolvers<'source' | 'target'>());
    this.trace = new Trace('source', (span) => this.emit({ type: 'span', span }));
    const record = this.trace.program;
    this.docker = new Docker({ record });
    this.run = runner({ record });
    target.signal = this.signal;
    void target.lost.then((why) =>
      this.cancel(new DrayageError('TARGET_LOST', why?.message ?? `The connection to ${to} was closed.`)),
    );
  }

  /** Aborted when the migration is to be undone. Nothing after the intent record listens to it. */
  get signal(): AbortSignal {
    return this.#cancel.signal;
  }

  /** Asks for an undo; the first reason counts. After the intent record it has no effect. */
  cancel(reason: DrayageError): void {
    this.cancelled ??= reason;
    this.#cancel.abort(this.cancelled);
  }

  /** @throws the reason where an undo was asked for. */
  checkpoint(): void {
    if (this.cancelled !== undefined) throw this.cancelled;
  }

  /** For `untilDone`: told once, what is in the way. */
  readonly noteRetry = (error: unknown, attempt: number): void => {
    if (attempt === 0) this.emit({ type: 'note', message: `waiting: ${DrayageError.from(error).message}` });
  };

  phase<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    this.emit({ type: 'phase', phase });
    return this.trace.phase(phase, work);
  }

  emit(event: NewEvent): void {
    this.journal.appendLazy({ type: 'event', event: { time: Date.now(), id: this.id, ...event } as MigrationEvent });
  }

  /** A progress reporter for one thing that is carried, which emits at most ten times a second. */
  progress(phase: Phase, what: string, total?: number): (bytes: number) => void {
    let emittedAt = 0;
    const beganAt = performance.now();
    return (bytes) => {
      const now = performance.now();
      if (now - emittedAt < 100 && bytes !== total) return;
      emittedAt = now;
      const seconds = (now - beganAt) / 1000;
      this.emit({
        type: 'progress',
        phase,
        what,
        bytes,
        ...(total === undefined ? {} : { total }),
        ...(seconds > 0.2 ? { rate: Math.round(bytes / seconds) } : {}),
      });
    };
  }

  channel(purpose: ChannelPurpose, meta: unknown): Promise<Duplex> {
    return this.target.channel(this.id, purpose, meta);
  }

  async close(): Promise<void> {
    await this.docker[Symbol.asyncDispose]();
  }
}
