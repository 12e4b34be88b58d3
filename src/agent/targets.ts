/** The migrations that this host is the target of: at most one session an id, each tied to the source's connection. */
import { existsSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { type HostFacts, isTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { isCommitted } from '../migration/copy-resources.ts';
import { Journal, journalPath } from '../migration/journal.ts';
import { lastState } from '../migration/journal-records.ts';
import { resolveTarget } from '../migration/resolve.ts';
import type { ChannelPurpose, OpenTarget, TargetOutcome } from '../migration/target-port.ts';
import { TargetSession } from '../migration/target-session.ts';
import type { Relays } from '../traffic/relays.ts';
import type { ForwardStore } from '../traffic/store.ts';

export interface TargetsOptions {
  journalDir: string;
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  log: (line: string) => void;
  stopping: AbortSignal;
  forwards: ForwardStore;
  relays: Relays;
}

export class Targets {
  readonly #options: TargetsOptions;
  readonly #sessions = new Map<string, TargetSession>();
  readonly #recovering = new Map<string, Promise<void>>();

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#sessions.size > 0 || this.#recovering.size > 0;
  }

  /** A migration of the past is being brought to its end; its outcome is told only then. */
  recovering(id: string, done: Promise<void>): void {
    const settled = done.catch((error: unknown) => this.#log(id, error));
    this.#recovering.set(id, settled);
    void settled.then(() => this.#recovering.delete(id));
  }

  /** Begins a migration; it is undone when `lost` settles before the commit, and rolled forward after it. */
  async open(request: OpenTarget, lost: Promise<unknown>): Promise<void> {
    const host = await this.#options.hostFacts(new AbortController().signal);
    const journal = await Journal.create(this.#options.journalDir, request.id, 'target', {
      workload: `${request.workload.ref.engine}:${request.workload.ref.name}`,
      options: request.options,
      ...(isTree(request.workload) && { listening: request.workload.listening }),
      ...(request.archive === undefined ? {} : { archive: request.archive }),
    });
    await journal.append({ type: 'state', state: 'opened' });
    const { stopping, forwards, relays } = this.#options;
    const session = new TargetSession({ request, journal, host, stopping, forwards, relays });
    this.#sessions.set(request.id, session);
    void lost.then(() => this.#onLost(session));
  }

  get(id: string): TargetSession {
    const session = this.#sessions.get(id);
    if (session === undefined) {
      throw new DrayageError('MIGRATION_UNKNOWN', `Migration ${id} is not under way here.`, {
        meaning: 'It has been undone on this host, or its agent was restarted.',
      });
    }
    return session;
  }

  channel(stream: Duplex, purpose: ChannelPurpose, id: string, meta: unknown): Promise<void> {
    return this.get(id).channel(stream, purpose, meta);
  }

  /** Forgets the session of a migration that has come to its end, when nothing of it is left to be done. */
  async end(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    if (session.isOver) await session.cleaned().catch((error: unknown) => this.#log(id, error));
    if (!this.#sessions.delete(id)) return; // Another caller was quicker.
    await session.close();
  }

  /** Final: after the answer `aborted` this migration can never commit, also if nothing was known of it. */
  async outcome(id: string): Promise<TargetOutcome> {
    const session = this.#sessions.get(id);
    if (session !== undefined) {
      const outcome = await session.outcome('the source asked for the outcome');
      if (outcome === 'aborted') void this.end(id);
      return outcome;
    }
    await this.#recovering.get(id);
    const { journalDir } = this.#options;
    const records = await Journal.read(journalPath(journalDir, id, 'target')).catch(() => undefined);
    if (records === undefined) {
      const journal = await Journal.create(journalDir, id, 'target').catch(() => undefined);
      if (journal === undefined) return 'unknown'; // There is one, and it cannot be read.
      await journal.append({ type: 'state', state: 'aborted', data: { reason: 'nothing was known of it' } });
      await journal.close();
      return 'aborted';
    }
    if (records.length === 0) return 'aborted'; // A crash before the header: nothing was done, and no other begins it.
    const state = lastState(records);
    if (state === 'running' || state === 'released') return 'committed';
    if (state === 'aborted' || state === 'unknown') return state;
    throw new DrayageError('WORKLOAD_BUSY', `Migration ${id} has not been recovered on this host yet.`);
  }

  /** Takes back what is not committed; for the agent's own end. */
  async stop(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.#onLost(session)));
    await Promise.all(this.#recovering.values());
  }

  /** Ends a migration of which it could not be told whether its copy has run, as the user decided. */
  async resolve(id: string, keep: 'source' | 'target'): Promise<void> {
    const path = journalPath(this.#options.journalDir, id, 'target');
    if (!existsSync(path)) return; // Installed anew, say: there is nothing of it here.
    const journal = await Journal.reopen(path);
    try {
      const state = lastState(journal.records);
      if (state === 'unknown') await resolveTarget(journal, { keep, forwards: this.#options.forwards });
      else if (keep === 'source' && isCommitted(state))
        throw new DrayageError('ALREADY_COMMITTED', `Migration ${id} is committed; its copy runs here.`);
    } finally {
      await journal.close();
    }
  }

  async #onLost(session: TargetSession): Promise<void> {
    if (this.#sessions.get(session.id) !== session) return;
    try {
      if ((await session.outcome('the connection of the source was lost')) === 'committed') await session.release();
      await this.end(session.id);
    } catch (error) {
      this.#log(session.id, error);
    }
  }

  #log(id: string, error: unknown): void {
    this.#options.log(`migration ${id}: ${DrayageError.from(error).message}`);
  }
}
