/** A migration whose outcome could not be told, ended as a human decided after looking at both hosts. */
import { thaw } from '../engines/freezer.ts';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { Docker } from '../tools/docker.ts';
import { unmountTmpfs } from '../tools/tmpfs.ts';
import { releaseCopy, undoResources } from './copy-resources.ts';
import type { MigrationResult } from './events.ts';
import type { Journal } from './journal.ts';
import { lastState } from './journal-records.ts';
import { endingOf, startedOf } from './recover.ts';
import { undoHandover } from './recover-handover.ts';
import { restoreRestart, retireCopy } from './retire.ts';
import { startAgain, wasStopped } from './stop.ts';

/**
 * On the source: thaws its copy, or retires it.
 * @throws DrayageError NOT_IN_DOUBT where the journal knows the outcome.
 */
export async function resolveSource(id: string, journal: Journal, keep: 'source' | 'target'): Promise<MigrationResult> {
  const { started, details } = startedOf(journal);
  if (started === undefined || details === undefined) throw notInDoubt(id, journal);
  await using docker = new Docker({});
  const run = runner();
  const kept = keep === 'target' ? await retireCopy({ docker, journal, options: started.options, id }, details) : {};
  if (keep === 'source') {
    thaw(details.cgroupPath);
    if (wasStopped(journal)) await startAgain(docker, details);
    await restoreRestart(docker, details.containerId, details.restartPolicy);
    await journal.append({ type: 'state', state: 'undone' });
  }
  // By hand nothing is forwarded: whoever decides looks after the clients, too.
  await undoHandover(run, journal);
  await unmountTmpfs(run, details.stage);
  const result = endingOf(id, journal, keep === 'target' ? 'committed' : 'undone', kept);
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...result } });
  return result;
}

/** @throws DrayageError NOT_IN_DOUBT where the source's journal knows the outcome. */
export function assertInDoubt(id: string, journal: Journal): void {
  if (lastState(journal.records) !== 'unknown') throw notInDoubt(id, journal);
}

function notInDoubt(id: string, journal: Journal): DrayageError {
  return new DrayageError('NOT_IN_DOUBT', `The outcome of migration ${id} is known (${lastState(journal.records)}).`);
}

/** On the target: removes the copy, or makes it an ordinary container, which the user may start. */
export async function resolveTarget(journal: Journal, keep: 'source' | 'target'): Promise<void> {
  await using docker = new Docker({});
  const tools = { docker, run: runner() };
  if (keep === 'target') {
    await releaseCopy(journal, tools);
    return;
  }
  await journal.append({ type: 'state', state: 'aborted', data: { reason: 'resolved: keep the source' } });
  await undoResources(journal, tools);
}
