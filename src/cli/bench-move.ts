/** One round of `drayage bench`: starts a migration, notes when its events come, and waits for its end. */
import { DrayageError } from '../errors.ts';
import type { Clock } from '../measure/clock.ts';
import { type Arrival, type Move, moveOf } from '../measure/move.ts';
import type { MigrateOptions, MigrationResult } from '../migration/events.ts';
import type { Cli } from './context.ts';

export interface DriveRequest {
  /** Whose agent drives; undefined for this host's. */
  host: string | undefined;
  workload: string;
  to: string;
  options: MigrateOptions;
}

export interface Driven {
  /** null where the events do not tell it. */
  move: Move | null;
  result: MigrationResult;
}

/**
 * Aborted, `undo` asks the agent to undo it, and waits for what comes of it; `leave` waits no more.
 * @throws DrayageError CANCELLED where it was left, or as the agent answers
 */
export async function drive(
  cli: Cli,
  { host, workload, to, options }: DriveRequest,
  { clock, undo, leave }: { clock: Clock; undo: AbortSignal; leave: AbortSignal },
): Promise<Driven> {
  await using agent = await cli.connect(host);
  const arrivals: Arrival[] = [];
  let id: string | undefined;
  using _ = agent.onNotification('event', (event) => {
    if (id === undefined || event.id === id) arrivals.push({ event, atMs: clock.now() });
  });
  ({ id } = await agent.call('migrations.start', { workload, to, options }));
  const started = id;
  const ask = () => void agent.call('migrations.undo', { id: started }).catch(() => {});
  undo.addEventListener('abort', ask, { once: true });
  if (undo.aborted) ask();
  try {
    const result = await Promise.race([agent.call('migrations.watch', { id, from: 0 }), left(leave, id)]);
    return { result, move: moveOf(arrivals) };
  } finally {
    undo.removeEventListener('abort', ask);
  }
}

function left(signal: AbortSignal, id: string): Promise<never> {
  return new Promise((_, reject) => {
    const leave = () =>
      reject(
        new DrayageError('CANCELLED', `Migration ${id} was left under way.`, {
          remedy: `Follow it: drayage watch ${id}`,
        }),
      );
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
  });
}
