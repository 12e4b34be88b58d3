/** A migration whose outcome could not be told, ended as a human decided after looking at both hosts. */
import { killContainerProcesses } from '../engines/docker/container-processes.ts';
import { thaw } from '../engines/freezer.ts';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { Docker } from '../tools/docker.ts';
import { unmountTmpfs } from '../tools/tmpfs.ts';
import { installTarget } from '../traffic/forward.ts';
import type { Relays } from '../traffic/relays.ts';
import { type ForwardStore, notSwitched, toldOf } from '../traffic/store.ts';
import { arrivalIn, keepArrival } from './arrival.ts';
import { releaseCopy, undoResources } from './copy-resources.ts';
import type { MigrationResult } from './events.ts';
import type { Journal } from './journal.ts';
import { lastState } from './journal-records.ts';
import { recoverPorts } from './port-handover.ts';
import { containerOf, endingOf, leaveOwnCgroup, startedOf } from './recover.ts';
import { finishHandover, removeLeftHold, undoHandover } from './recover-handover.ts';
import { restoreRestart, retireCopy } from './retire.ts';
import { giveNameBack, startAgain, wasStopped } from './stop.ts';

/**
 * On the source: thaws its copy, or retires it and forwards its traffic to the target, as after a commit.
 * @throws DrayageError NOT_IN_DOUBT where the journal knows the outcome.
 */
export async function resolveSource(
  id: string,
  journal: Journal,
  { keep, forwards, relays }: { keep: 'source' | 'target'; forwards: ForwardStore; relays: Relays },
): Promise<MigrationResult> {
  const { started, details } = startedOf(journal);
  if (started === undefined || details === undefined) throw notInDoubt(id, lastState(journal.records));
  await using docker = new Docker({});
  const run = runner();
  const tell = (message: string): void =>
    journal.appendLazy({ type: 'event', event: { time: Date.now(), id, type: 'note', message } });
  let result: MigrationResult;
  if (keep === 'target') {
    const { workload, target, options } = started;
    const [failure] = await finishHandover(run, journal.records, forwards, target);
    if (failure !== undefined) tell(toldOf(notSwitched({ id, workload }, failure)));
    const kept = await retireCopy({ docker, journal, options, id }, details);
    await recoverPorts(run, journal.records, relays);
    // What is left of it, forwards repair removes.
    await removeLeftHold(run, journal.records).catch(() => {});
    result = endingOf(id, journal, 'committed', kept);
  } else {
    thaw(details.cgroupPath);
    await leaveOwnCgroup(details);
    const told = await giveNameBack(docker, details, id);
    if (told !== undefined) tell(told);
    if (wasStopped(journal)) await startAgain(docker, details);
    await undoHandover(run, journal.records);
    await recoverPorts(run, journal.records, undefined);
    if (details.homes === undefined) await restoreRestart(docker, details.containerId, details.restartPolicy);
    await journal.append({ type: 'state', state: 'undone' });
    result = endingOf(id, journal, 'undone');
  }
  await unmountTmpfs(run, details.stage);
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...result } });
  return result;
}

/** @throws DrayageError NOT_IN_DOUBT where the source's journal knows the outcome. */
export function assertInDoubt(id: string, journal: Journal): void {
  const state = lastState(journal.records);
  if (state !== 'unknown') throw notInDoubt(id, state);
}

export function notInDoubt(id: string, outcome: string | undefined): DrayageError {
  return new DrayageError('NOT_IN_DOUBT', `The outcome of migration ${id} is known (${outcome}).`);
}

/**
 * On the target: ends and removes the copy, or makes it an ordinary container, which the user may start, and lets in what is
 * forwarded for it.
 */
export async function resolveTarget(
  journal: Journal,
  { keep, forwards }: { keep: 'source' | 'target'; forwards: ForwardStore },
): Promise<void> {
  await using docker = new Docker({});
  const run = runner();
  const tools = { docker, run };
  if (keep === 'target') {
    await releaseCopy(journal, tools);
    const arrival = arrivalIn(journal.records);
    if (arrival === undefined) return;
    await keepArrival(run, forwards, arrival);
    const kept = arrival.sides.filter(({ id }) => !arrival.passing.some((one) => one.id === id));
    for (const { side } of kept) await installTarget(run, side);
    return;
  }
  // The copy may run by now, and what holds CRIU up may let it go on: until nothing of it is left it is not given up.
  const containerId = containerOf(journal);
  if (containerId !== undefined) await killContainerProcesses(containerId);
  await journal.append({ type: 'state', state: 'aborted', data: { reason: 'resolved: keep the source' } });
  await undoResources(journal, tools);
}
