/** The replays that this host builds for others: each is tied to the source's connection. */
import type { Duplex } from 'node:stream';
import type { HostFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { Journal } from '../migration/journal.ts';
import type { OpenReplay, ReplayChannel } from '../replay/move/target-port.ts';
import { ReplaySession } from '../replay/move/target-session.ts';

export interface ReplaysOptions {
  journalDir: string;
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  log: (line: string) => void;
  stopping: AbortSignal;
}

export class Replays {
  readonly #options: ReplaysOptions;
  readonly #sessions = new Map<string, ReplaySession>();

  constructor(options: ReplaysOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#sessions.size > 0;
  }

  /** Begins a replay, which is taken back when `lost` settles before its end. */
  async open(request: OpenReplay, lost: Promise<unknown>): Promise<void> {
    const host = await this.#options.hostFacts(new AbortController().signal);
    const { engine, name } = request.workload.ref;
    const journal = await Journal.create(this.#options.journalDir, request.id, 'target', {
      workload: `${engine}:${name}`,
    });
    await journal.append({ type: 'state', state: 'opened' });
    const session = new ReplaySession({ request, journal, host, stopping: this.#options.stopping });
    this.#sessions.set(request.id, session);
    void lost.then(() =>
      this.abort(request.id, 'the connection of the source was lost').catch((error) => this.#log(session, error)),
    );
  }

  channel(stream: Duplex, what: ReplayChannel, id: string): Promise<void> {
    return this.#get(id).channel(stream, what);
  }

  async finish(id: string, start: boolean): ReturnType<ReplaySession['finish']> {
    const finished = await this.#get(id).finish(start);
    this.#sessions.delete(id);
    return finished;
  }

  async abort(id: string, reason: string): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    // What cannot be undone now is left to the agent's next start.
    await session.abort(reason).finally(() => this.#sessions.delete(id));
  }

  /** Takes back what is not finished; for the agent's own end. */
  async stop(): Promise<void> {
    const ending = [...this.#sessions.values()].map((session) =>
      this.abort(session.id, 'the agent is being stopped').catch((error) => this.#log(session, error)),
    );
    await Promise.all(ending);
  }

  #get(id: string): ReplaySession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new DrayageError('MIGRATION_UNKNOWN', `Replay ${id} is not under way here.`);
    return session;
  }

  #log(session: ReplaySession, error: unknown): void {
    this.#options.log(`replay ${session.id}: ${DrayageError.from(error).message}`);
  }
}
