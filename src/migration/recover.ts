/** What an agent does at its start with migrations that a crash cut short, on either side. */
import { killContainerProcesses } from '../engines/docker/container-processes.ts';
import { abortLeftRendezvous, leftRestore } from '../engines/docker/rendezvous.ts';
import { thaw } from '../engines/freezer.ts';
import { leaveCgroup } from '../engines/process/own-cgroup.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import { unmountTmpfs } from '../tools/tmpfs.ts';
import type { Arriving, Relays } from '../traffic/relays.ts';
import { type ForwardStore, notSwitched, toldOf } from '../traffic/store.ts';
import { arrivalIn, keepArrival } from './arrival.ts';
import { releaseCopy, undoResources } from './copy-resources.ts';
import { type Doubtful, settleDoubt } from './doubt.ts';
import type { MigrationEvent, MigrationResult, Outcome } from './events.ts';
import type { Journal } from './journal.ts';
import { eventsOf, lastState } from './journal-records.ts';
import { recoverPorts } from './port-handover.ts';
import { finishHandover, removeLeftHold, undoHandover } from './recover-handover.ts';
import { fromJournal } from './resource.ts';
import { restoreRestart, retireCopy } from './retire.ts';
import { type StartedData, startedSchema } from './started.ts';
import { giveNameBack, startAgain, wasStopped } from './stop.ts';
import { endStragglers } from './stragglers.ts';
import type { TargetPort } from './target-port.ts';
import { endLeftTrial, wasTried } from './trial.ts';
import { untilDone } from './until-done.ts';

interface Recovery {
  id: string;
  journal: Journal;
  docker: Docker;
  run: Run;
  forwards: ForwardStore;
  relays: Relays;
  /** Ends the waiting, for an engine that is not back or a peer that does not answer. */
  signal: AbortSignal;
}

interface SourceRecovery extends Recovery {
  redial: (to: string) => Promise<TargetPort>;
  /** What a human decides while it is in doubt. */
  decided: Promise<'source' | 'target'>;
}

type StartedEvent = MigrationEvent & { type: 'started' };

/**
 * Ends a migration that this host was the source of: undoes it up to the intent record, asks the target after it, and
 * rolls forward after the commit.
 */
export async function recoverSource(recovery: SourceRecovery): Promise<void> {
  const { id, journal, signal } = recovery;
  const { started, details } = startedOf(journal);
  if (started === undefined || details === undefined) {
    finish(recovery, 'undone', restarted(started?.workload ?? 'it')); // Nothing had been touched here.
    return;
  }
  note(recovery, 'the agent was restarted and goes on from its journal');
  const doubtful: Doubtful = {
    id,
    to: started.target,
    redial: () => recovery.redial(started.target),
    emit: ({ message }) => note(recovery, message),
  };
  if (lastState(journal.records) === 'intent') {
    const settled = await settleDoubt(doubtful, signal, recovery.decided);
    if (settled.outcome === 'unknown') {
      await journal.append({ type: 'state', state: 'unknown' });
      finish(recovery, 'unknown', settled.error);
      return;
    }
    if (settled.outcome === 'running') await journal.append({ type: 'state', state: 'committed' });
  }
  switch (lastState(journal.records)) {
    case 'committed':
      return rollForward(recovery, details, started);
    case 'retired':
    case 'undone': {
      // All but the last word was said.
      const isDone = lastState(journal.records) === 'retired' || (await isWritten(recovery, started));
      if (lastState(journal.records) === 'retired') {
        await switchHandover(recovery, started);
        await recoverPorts(recovery.run, journal.records, recovery.relays);
      }
      await removeLeftHold(recovery.run, journal.records);
      await unmountTmpfs(recovery.run, details.stage);
      return finish(recovery, isDone ? 'committed' : 'undone');
    }
    default:
      return undoSource(recovery, details, started);
  }
}

/** Of a snapshot, whose workload went on beforehand. */
async function isWritten({ redial, id }: SourceRecovery, { target: to, options }: StartedEvent): Promise<boolean> {
  if (options.leaveRunning !== true) return false;
  const target = await redial(to);
  return (await target.outcome(id)) === 'committed';
}

/** Ends a migration that this host was the target of: whatever the journal ends with, nothing of it is left half done. */
export async function recoverTarget(recovery: Recovery): Promise<void> {
  const { journal, docker, run, signal } = recovery;
  const tools = { docker, run };
  const state = lastState(journal.records);
  // Also where it was released already: a crash in the middle of that leaves the rest.
  if (state === 'running' || state === 'released') {
    if (state === 'running') await keepForwards(recovery);
    await untilDone(signal, () => releaseCopy(journal, tools));
    if (state === 'running') await untilDone(signal, () => reviveCopies(journal, docker));
    return;
  }
  // By restart it is on record only when the copy has run, and everything of it is on disk.
  if (state === 'committed' && restartIn(journal) !== undefined) {
    await keepForwards(recovery);
    await untilDone(signal, () => releaseCopy(journal, tools));
    return untilDone(signal, () => reviveCopies(journal, docker));
  }
  const containerId = containerOf(journal);
  if (containerId !== undefined) await abortLeftRendezvous(containerId);
  if (state === 'committed') {
    const left = containerId === undefined ? 'unknown' : await leftRestore(containerId);
    if (left === 'ran') {
      await keepForwards(recovery);
      await untilDone(signal, () => releaseCopy(journal, tools));
      return;
    }
    if (left === 'unknown') return journal.append({ type: 'state', state: 'unknown' });
  }
  if (containerId !== undefined) {
    const end = wasTried(journal)
      ? endLeftTrial(docker, containerId, recovery.id)
      : killContainerProcesses(containerId);
    await end;
  }
  if (state !== 'aborted') {
    await journal.append({ type: 'state', state: 'aborted', data: { reason: 'the agent was restarted' } });
  }
  await untilDone(signal, () => undoResources(journal, tools));
}

/** The workload runs, whatever becomes of it. */
async function keepForwards({ journal, run, forwards, relays }: Recovery): Promise<void> {
  const { workload, listening } = (journal.records[0] as { data?: Partial<Arriving> }).data ?? {};
  if (workload !== undefined && listening !== undefined) await relays.forget({ workload, listening }).catch(() => {});
  const arrival = arrivalIn(journal.records);
  if (arrival !== undefined) await keepArrival(run, forwards, arrival).catch(() => {});
}

/** After a restart of the host: the engine had no policy to start the copy by. */
async function reviveCopies(journal: Journal, docker: Docker): Promise<void> {
  if (restartIn(journal)?.running === false) return;
  for (const record of journal.records) {
    if (record.type !== 'acquired' || record.resource.kind !== 'container') continue;
    const resource = fromJournal(record.resource);
    if (resource.kind !== 'container' || resource.id === undefined) continue;
    await reviveByPolicy(docker, { containerId: resource.id, restartPolicy: resource.restartPolicy });
  }
}

/** Of a copy that was committed by restart: whether it is to run. */
function restartIn(journal: Journal): { running: boolean } | undefined {
  const committed = journal.records.find((record) => record.type === 'state' && record.state === 'committed');
  const data = committed?.type === 'state' ? committed.data : undefined;
  return (data as { restart?: { running: boolean } } | undefined)?.restart;
}

/** What the copy's processes are known by. Also where its guard has been removed since. */
export function containerOf(journal: Journal): string | undefined {
  for (const record of journal.records) {
    if (record.type !== 'acquired' || !['guard', 'rendezvous'].includes(record.resource.kind)) continue;
    const resource = fromJournal(record.resource);
    if (resource.kind === 'guard' || resource.kind === 'rendezvous') return resource.containerId;
  }
  return undefined;
}

async function undoSource(recovery: Recovery, details: StartedData, started: StartedEvent): Promise<void> {
  const { journal, docker, run, signal } = recovery;
  await endStragglers(details.stage);
  thaw(details.cgroupPath);
  await leaveOwnCgroup(details);
  const told = await untilDone(signal, () => giveNameBack(docker, details, recovery.id));
  if (told !== undefined) note(recovery, told);
  if (wasStopped(journal)) await untilDone(signal, () => startAgain(docker, details));
  await untilDone(signal, () => undoHandover(run, journal.records));
  await recoverPorts(run, journal.records, undefined);
  await unmountTmpfs(run, details.stage);
  if (details.homes === undefined) {
    await untilDone(signal, () => restoreRestart(docker, details.containerId, details.restartPolicy));
    if (details.restart?.running !== false) await untilDone(signal, () => reviveByPolicy(docker, details));
  }
  await journal.append({ type: 'state', state: 'undone' });
  finish(recovery, 'undone', restarted(started.workload));
}

function restarted(workload: string): DrayageError {
  const what = `The agent of the source was restarted while ${workload} was being moved or rebuilt.`;
  return new DrayageError('AGENT_RESTARTED', what);
}

/** A tree of processes goes back to where it was; after a restart of the host there is nothing of it. */
export async function leaveOwnCgroup({ cgroupPath, homes }: StartedData): Promise<void> {
  if (homes !== undefined) await leaveCgroup({ path: cgroupPath, homes });
}

/** A host that was restarted meanwhile did not start it, because its policy was off for the time of the freeze. */
async function reviveByPolicy(
  docker: Docker,
  { containerId, restartPolicy }: Pick<StartedData, 'containerId' | 'restartPolicy'>,
): Promise<void> {
  if (!['always', 'unless-stopped'].includes(restartPolicy.Name)) return;
  const inspect = await docker.inspect(containerId).catch(() => undefined);
  if (inspect !== undefined && !inspect.State.Running) await docker.start(containerId);
}

async function rollForward(recovery: Recovery, details: StartedData, started: StartedEvent): Promise<void> {
  const { id, journal, docker, run, signal } = recovery;
  await switchHandover(recovery, started);
  const kept = await untilDone(signal, () => retireCopy({ docker, journal, options: started.options, id }, details));
  await untilDone(signal, () => recoverPorts(run, journal.records, recovery.relays));
  await removeLeftHold(run, journal.records);
  await unmountTmpfs(run, details.stage);
  finish(recovery, 'committed', undefined, kept);
}

/** What fails of it stops nothing: the workload runs on the target. */
async function switchHandover(recovery: Recovery, { workload, target }: StartedEvent): Promise<void> {
  const { id, journal, run, forwards } = recovery;
  const [failure] = await finishHandover(run, journal.records, forwards, target);
  if (failure !== undefined) note(recovery, toldOf(notSwitched({ id, workload }, failure)));
}

function note({ journal, id }: Recovery, message: string): void {
  journal.appendLazy({ type: 'event', event: { time: Date.now(), id, type: 'note', message } });
}

/** How the migration began, as far as the journal goes; `details` is there once anything was touched. */
export function startedOf(journal: Journal): { started?: StartedEvent; details?: StartedData } {
  const started = eventsOf(journal.records).find((event): event is StartedEvent => event.type === 'started');
  const record = journal.records.find((each) => each.type === 'state' && each.state === 'started');
  return {
    ...(started && { started }),
    ...(record?.type === 'state' && { details: startedSchema.parse(record.data) }),
  };
}

/** The result of a migration that was ended from its journal. */
export function endingOf(
  id: string,
  journal: Journal,
  outcome: Outcome,
  more: Partial<MigrationResult> = {},
): MigrationResult {
  const committed = journal.records.findLast((record) => record.type === 'state' && record.state === 'committed');
  const data = committed?.type === 'state' ? (committed.data as { outageMs?: number } | undefined) : undefined;
  const totalMs = Date.now() - (journal.records[0]?.time ?? Date.now());
  return { type: 'result', id, outcome, outageMs: data?.outageMs ?? null, totalMs, bytes: 0, phases: [], ...more };
}

function finish(
  { journal, id }: Recovery,
  outcome: Outcome,
  error?: DrayageError,
  more: { keptAs?: string } = {},
): void {
  const ending = endingOf(id, journal, outcome, { ...more, ...(error && { error: error.toJSON() }) });
  journal.appendLazy({ type: 'event', event: { time: Date.now(), ...ending } });
}
