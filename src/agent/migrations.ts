/** The migrations that this host is the source of: starts, watches and undoes them, and reads those of the past. */
import { randomBytes } from 'node:crypto';
import type { HostFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { archiveOf, resolveImport } from '../migration/archive/recover-import.ts';
import type { MigrateOptions, MigrationEvent, MigrationResult, Outcome } from '../migration/events.ts';
import { Journal, type JournalEntry, journalPath } from '../migration/journal.ts';
import { eventsOf, type JournalRecord, lastState } from '../migration/journal-records.ts';
import { migrate } from '../migration/migrate.ts';
import { assertInDoubt, resolveSource } from '../migration/resolve.ts';
import { SourceMigration } from '../migration/source-migration.ts';
import { parseWorkload } from '../migration/survey.ts';
import type { TargetPort } from '../migration/target-port.ts';
import { type RebuildOptions, rebuild } from '../replay/move/rebuild.ts';
import type { Relays } from '../traffic/relays.ts';
import type { ForwardStore } from '../traffic/store.ts';
import type { Target } from './remote-target.ts';

export interface MigrationRequest {
  workload: string;
  to: string;
  options: MigrateOptions;
}

export interface MigrationsOptions {
  journalDir: string;
  forwards: ForwardStore;
  relays: Relays;
  machine: string;
  hostname: string;
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  exclusively: SourceMigration['exclusively'];
  /** Ends an import of this host whose outcome is unknown, as `Targets.resolve`. */
  resolveHere: (id: string, keep: 'source' | 'target') => Promise<void>;
  /** Reaches the agent of a host as users name it. */
  dialTarget: (to: string) => Promise<TargetPort>;
  /** The same where it can be nothing but a host. */
  dialHost: (to: string) => Promise<Target>;
  log: (line: string) => void;
  stopping: AbortSignal;
}

/** What is another for a migration that is no move to another host. */
export interface MigrationWay {
  dial: () => Promise<TargetPort>;
  /** Default `dial`. */
  redial?: () => Promise<TargetPort>;
  /** Where it comes from; default this host. */
  from?: string;
  /** Default `migrate`. */
  drive?: (migration: SourceMigration) => Promise<MigrationResult>;
  /** For the head of the journal. */
  header?: { archive: string };
}

export interface ReplayRequest {
  workload: string;
  to: string;
  options: RebuildOptions;
}

/** Of a move; a replay has options of its own. */
const NOTHING_CARRIED: MigrateOptions = {
  ...{ strategy: 'live', allowRestart: false, replaceFiles: false },
  ...{ remove: false, carryBinds: false, dropConnections: false, dryRun: false },
  handover: 'none',
};

interface Running {
  workload: string;
  /** Known once the workload was looked at, by whatever name. */
  containerId: string | undefined;
  journal: Journal;
  migration: SourceMigration | undefined;
  /** Ends the doubt of one of the past. */
  decide?: (keep: 'source' | 'target') => void;
  done: Promise<unknown>;
}

/** One line of the history. */
export interface MigrationSummary {
  id: string;
  workload: string;
  source: string;
  target: string;
  startedAt: number;
  outcome?: Outcome;
  outageMs?: number | null;
  totalMs?: number;
  bytes?: number;
}

export class Migrations {
  readonly #options: MigrationsOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: MigrationsOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** As `start`, for a replay, which has a journal and events as any move. */
  replay({ workload, to, options }: ReplayRequest): Promise<string> {
    const { dialHost } = this.#options;
    const { promise: dialled, resolve } = Promise.withResolvers<Target>();
    const dial = async (): Promise<Target> => {
      const target = await dialHost(to);
      resolve(target);
      return target;
    };
    const drive = async (m: SourceMigration) => rebuild(m, (await dialled).replay, options);
    const redial = () => dialHost(to);
    return this.start({ workload, to, options: NOTHING_CARRIED }, { dial, redial, drive });
  }

  /** Begins a migration and returns its id at once; what becomes of it is told to those who watch. */
  async start(
    { workload, to, options }: MigrationRequest,
    way: MigrationWay = { dial: () => this.#options.dialTarget(to) },
  ): Promise<string> {
    const { name } = parseWorkload(workload);
    const other = [...this.#running].find(([, running]) => running.workload === name);
    if (other !== undefined)
      throw new DrayageError('WORKLOAD_BUSY', `${workload} is being moved already, by migration ${other[0]}.`);
    const id = newId();
    // Taken at once: a second start of the same workload must not come in between.
    const placeholder: Running = {
      workload: name,
      containerId: undefined,
      journal: undefined as unknown as Journal,
      migration: undefined,
      done: Promise.resolve(),
    };
    this.#running.set(id, placeholder);
    let target: TargetPort | undefined;
    try {
      const { journalDir, hostFacts, exclusively, dialTarget, stopping, forwards, relays, machine, hostname } =
        this.#options;
      target = await way.dial();
      const journal = await Journal.create(journalDir, id, 'source', { workload, to, options, ...way.header });
      const migration = new SourceMigration({
        id,
        workload,
        to,
        options,
        target,
        redial: way.redial ?? way.dial,
        reach: dialTarget,
        ...{ forwards, relays },
        self: { name: hostname, machine },
        journal,
        stopping,
        hostFacts,
        exclusively,
        claim: (containerId) => this.#claim(id, containerId),
      });
      migration.emit({ type: 'started', workload, source: way.from ?? this.#options.hostname, target: to, options });
      Object.assign(placeholder, { journal, migration });
      placeholder.done = this.#drive(migration, way.drive ?? migrate).finally(() => this.#running.delete(id));
      return id;
    } catch (error) {
      this.#running.delete(id);
      await target?.close().catch(() => {});
      throw error;
    }
  }

  /** Registers a migration of the past that is being brought to its end. */
  resume(
    id: string,
    { done, ...past }: Pick<Running, 'containerId' | 'journal' | 'done'> & Required<Pick<Running, 'decide'>>,
  ): void {
    this.#running.set(id, { workload: id, migration: undefined, done, ...past });
    void done.finally(() => this.#running.delete(id));
  }

  /** Every event from the given position on, as they come; returns the result where there is one. */
  async watch(
    id: string,
    from: number,
    onEvent: (event: MigrationEvent) => void,
    signal: AbortSignal,
  ): Promise<MigrationResult | null> {
    let result: MigrationResult | null = null;
    let position = 0;
    for await (const record of this.#records(id, signal)) {
      if (record.type !== 'event') continue;
      if (position++ >= from) onEvent(record.event);
      if (record.event.type !== 'result') continue;
      result = record.event;
      break;
    }
    return result;
  }

  undo(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) throw unknownMigration(id);
    running.migration?.cancel(new DrayageError('CANCELLED', 'The user asked to undo the migration.'));
  }

  /** Oldest first; a journal that cannot be read is told with its error in the place of the workload. */
  async list(): Promise<MigrationSummary[]> {
    const entries = await Journal.list(this.#options.journalDir);
    return entries.filter((entry) => entry.side === 'source').flatMap(summary);
  }

  async show(id: string): Promise<{ id: string; events: MigrationEvent[] }> {
    const running = this.#running.get(id);
    const { journalDir } = this.#options;
    const records =
      running?.journal.records ?? (await Journal.read(journalPath(journalDir, id, 'source')).catch(notThere(id)));
    return { id, events: eventsOf(records) };
  }

  /** Of one that has come to its end; undefined where there is none. @throws DrayageError WORKLOAD_BUSY */
  async recordsOf(id: string): Promise<JournalRecord[] | undefined> {
    if (this.#running.has(id)) throw new DrayageError('WORKLOAD_BUSY', `Migration ${id} is under way.`);
    return Journal.read(journalPath(this.#options.journalDir, id, 'source')).catch(() => undefined);
  }

  /**
   * Ends a migration that is in doubt, or whose outcome could not be told. The journal comes first: where the source was
   * retired already the target must not be given up. Then the target is told; where it cannot be reached, the user has
   * decided knowing that. Where it could not end its copy, nothing runs on here.
   */
  async resolve(id: string, keep: 'source' | 'target'): Promise<MigrationResult> {
    const running = this.#running.get(id);
    if (running !== undefined) return this.#decide(id, running, keep);
    const path = journalPath(this.#options.journalDir, id, 'source');
    const journal = await Journal.reopen(path).catch(notThere(id));
    try {
      if (archiveOf(journal.records) !== undefined)
        return await resolveImport({ id, journal }, keep, this.#options.resolveHere);
      assertInDoubt(id, journal);
      const started = eventsOf(journal.records).find((event) => event.type === 'started');
      if (started !== undefined) await this.#tellTarget(started.target, id, keep);
      return await resolveSource(id, journal, { keep, ...this.#options });
    } finally {
      await journal.close();
    }
  }

  /** A migration whose target does not come back: its asking is ended by the user's word. */
  async #decide(
    id: string,
    { journal, migration, decide = migration?.decide, done }: Running,
    keep: 'source' | 'target',
  ): Promise<MigrationResult> {
    if (decide === undefined || lastState(journal.records) !== 'intent') {
      throw new DrayageError('NOT_IN_DOUBT', `Migration ${id} is under way and not in doubt.`);
    }
    decide(keep);
    await done;
    const result = eventsOf(journal.records).findLast((event) => event.type === 'result');
    if (result === undefined) throw new DrayageError('NOT_IN_DOUBT', `Migration ${id} has not come to its end.`);
    return result;
  }

  /** @throws DrayageError WORKLOAD_BUSY where another migration has it, by whatever name it was called there. */
  #claim(id: string, containerId: string): void {
    for (const [other, running] of this.#running) {
      if (other === id || running.containerId !== containerId) continue;
      throw new DrayageError('WORKLOAD_BUSY', `The workload is being moved already, by migration ${other}.`);
    }
    const own = this.#running.get(id);
    if (own !== undefined) own.containerId = containerId;
  }

  /** Undoes what can be undone and waits for the rest; for the agent's own end. */
  async stop(): Promise<void> {
    for (const { migration } of this.#running.values()) {
      migration?.cancel(new DrayageError('CANCELLED', 'The agent of the source is being stopped.'));
    }
    await Promise.all([...this.#running.values()].map(({ done }) => done.catch(() => {})));
  }

  /** @throws DrayageError OUTCOME_UNKNOWN where the source is kept and the target may run its copy on. */
  async #tellTarget(to: string, id: string, keep: 'source' | 'target'): Promise<void> {
    const notTold = (error: unknown): void =>
      this.#options.log(`migration ${id}: ${to} was not told: ${DrayageError.from(error).message}`);
    const target = await this.#options.dialTarget(to).catch(notTold);
    if (target === undefined) return;
    try {
      await target.resolve(id, keep);
    } catch (error) {
      if (keep === 'target') return notTold(error);
      const { message } = DrayageError.from(error);
      throw new DrayageError('OUTCOME_UNKNOWN', `${to} could not give its copy up: ${message}`, {
        remedy: `See to that on ${to}, then run the command again. It is not asked where it cannot be reached.`,
        cause: error,
      });
    } finally {
      await target.close();
    }
  }

  async #drive(migration: SourceMigration, drive: typeof migrate): Promise<void> {
    const { id, journal } = migration;
    try {
      migration.emit(await drive(migration));
    } catch (error) {
      // Only what must not fail comes here: a journal that cannot be written. Recovery goes on from what it holds.
      this.#options.log(`migration ${id}: ${DrayageError.from(error).message}`);
    } finally {
      await journal.close();
      await migration.target.close().catch(() => {});
      await migration.close();
    }
  }

  async *#records(id: string, signal: AbortSignal): AsyncIterable<Awaited<ReturnType<typeof Journal.read>>[number]> {
    const running = this.#running.get(id);
    if (running?.journal !== undefined) yield* running.journal.follow(0, signal);
    else yield* await Journal.read(journalPath(this.#options.journalDir, id, 'source')).catch(notThere(id));
  }
}

function summary(entry: JournalEntry): MigrationSummary[] {
  if ('error' in entry) {
    return [{ id: entry.id, workload: entry.error.message, source: '', target: '', startedAt: 0, outcome: 'unknown' }];
  }
  const events = eventsOf(entry.records);
  const started = events.find((event) => event.type === 'started');
  if (started === undefined) return []; // The crash came before anything was done.
  const result = events.findLast((event) => event.type === 'result');
  const { workload, source, target, time: startedAt } = started;
  const { outcome, outageMs, totalMs, bytes } = result ?? {};
  const ending =
    outcome === undefined ? {} : { outcome, outageMs: outageMs ?? null, totalMs: totalMs ?? 0, bytes: bytes ?? 0 };
  return [{ id: entry.id, workload, source, target, startedAt, ...ending }];
}

/** Sortable by time and unlike any other: `20261120-235959-1f2e`. */
function newId(): string {
  const time = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${time}-${randomBytes(2).toString('hex')}`;
}

function unknownMigration(id: string): DrayageError {
  return new DrayageError('MIGRATION_UNKNOWN', `There is no migration ${id} under way on this host.`);
}

function notThere(id: string): (error: unknown) => never {
  return (error) => {
    const missing = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    throw missing ? unknownMigration(id) : error;
  };
}
