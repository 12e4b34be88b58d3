/** Follows a migration to its end, and says how it ended. */
import { DrayageError, ERRORS, type ErrorCode, type SerializedError } from '../errors.ts';
import type { MigrationEvent, MigrationResult, Outcome } from '../migration/events.ts';
import type { AgentClient } from './agent-client.ts';
import type { Cli } from './context.ts';
import { jsonProgress, textProgress } from './progress.ts';
import { renderOutcome } from './report/result.ts';
import { storyOf } from './report/story.ts';

export interface FollowOptions {
  id: string;
  json: boolean;
  /** As in `--host H`, for what the user is told to run. */
  host?: string | undefined;
  /** What the first Ctrl-C does: asks for an undo, or just stops to follow. */
  onInterrupt: 'undo' | 'leave';
  /** Events that are known already; default none. */
  from?: number;
  /** One that waits for its user is left, and that is an error. */
  leavesWaiting?: true;
}

/**
 * Resolves with how it has ended, or to undefined when the user leaves; sets the exit status.
 * @throws DrayageError AGENT_LOST
 */
export async function follow(cli: Cli, agent: AgentClient, options: FollowOptions): Promise<Outcome | undefined> {
  const { id, json } = options;
  const events: MigrationEvent[] = [];
  const progress = json ? jsonProgress(cli.out, cli.err) : textProgress(cli.out);
  let result: MigrationResult;
  try {
    const { promise: left, resolve: leave, reject: fail } = Promise.withResolvers<'left'>();
    using _ = agent.onNotification('event', (event) => {
      if (event.id !== id) return;
      events.push(event);
      progress.event(event);
      if (event.type === 'waiting' && options.leavesWaiting) fail(fromEvent(event.error));
    });
    using __ = cli.onInterrupt(interrupts(agent, options, progress.say, () => leave('left')));
    const ended = await Promise.race([agent.call('migrations.watch', { id, from: options.from ?? 0 }), left]);
    if (ended === 'left') {
      progress.say(`The migration goes on. Follow it again: ${watchCommand(options)}`);
      cli.exitWith(ERRORS.CANCELLED.exit);
      return undefined;
    }
    result = ended;
  } catch (error) {
    throw goesOn(error, options);
  } finally {
    progress.stop();
  }
  if (!json) cli.out.write(`\n${renderOutcome({ ...storyOf(id, events), result }, cli.out.look())}`);
  cli.exitWith(exitStatusOf(result));
  return result.outcome;
}

/** 0 only for a workload that has moved. */
export function exitStatusOf({ outcome, error }: MigrationResult): number {
  if (outcome === 'committed') return 0;
  if (error !== undefined && error.code in ERRORS) return ERRORS[error.code as ErrorCode].exit;
  return ERRORS.INTERNAL.exit;
}

function fromEvent({ code, message, meaning, remedy }: SerializedError): DrayageError {
  return new DrayageError(code in ERRORS ? (code as ErrorCode) : 'INTERNAL', message, { meaning, remedy });
}

function interrupts(
  agent: AgentClient,
  { id, onInterrupt }: FollowOptions,
  say: (text: string) => void,
  leave: () => void,
) {
  let asked = false;
  return () => {
    if (asked || onInterrupt === 'leave') return leave();
    asked = true;
    say('Ctrl-C: asking for an undo, and waiting for it. Once more to leave.');
    agent.call('migrations.undo', { id }).catch((error: unknown) => {
      say(`It cannot be undone any more: ${DrayageError.from(error).message}`);
    });
  };
}

function goesOn(thrown: unknown, options: FollowOptions): unknown {
  if (!(thrown instanceof DrayageError) || thrown.code !== 'AGENT_LOST') return thrown;
  return new DrayageError('AGENT_LOST', thrown.message, {
    meaning: 'The migration itself goes on: the agent drives it, not this command.',
    remedy: `Follow it again: ${watchCommand(options)}`,
    cause: thrown,
  });
}

function watchCommand({ id, host }: FollowOptions): string {
  return `drayage watch ${id}${host === undefined ? '' : ` --host ${host}`}`;
}
