/** What is done by restart while the workload stands still on the source: it is stopped, and the last differences go. */
import { setTimeout as sleep } from 'node:timers/promises';
import { keptName } from '../engines/docker/kept-copy.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { DrayageError } from '../errors.ts';
import type { BytePath } from '../files/byte-path.ts';
import { settle } from '../files/logs.ts';
import { sharedWritableMappings } from '../files/mappings.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import { hold, holdNew, releaseToSource } from '../traffic/hold.ts';
import type { Journal } from './journal.ts';
import type { PreparedRestart } from './prepare-restart.ts';
import type { SourceMigration } from './source-migration.ts';
import type { StartedData } from './started.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Stopped {
  /** When no new client was let in any more, in milliseconds from the migration's start. */
  atMs: number;
  /** By tree: files that were mapped shared and writable, whose times do not tell that they have changed. */
  mapped: ReadonlyMap<string, readonly BytePath[]>;
}

/** For the engine to note that it has stopped. */
const STOP_SLACK_MS = 2000;
const STOP_POLL_MS = 100;

/**
 * As `docker stop`, with the container's own signal and patience. New connections wait from before that; those that are
 * open come to the end that the program gives them, and what comes of them afterwards waits as well.
 * @throws DrayageError STATE_CHANGED where it is not in the state that was surveyed
 */
export async function stopWorkload(m: SourceMigration, prepared: PreparedRestart, undo: UndoStack): Promise<Stopped> {
  const { facts, started, handover } = prepared;
  const { workload } = facts;
  await assertState(m, prepared, workload.state === 'running');
  if (workload.state !== 'running') return { atMs: m.trace.now(), mapped: new Map() };
  const mapped = sharedWritableMappings(await tasksOf(workload.cgroupPath), workload.files);
  // On disk before the deed, for a recovery.
  await m.journal.append({ type: 'state', state: 'stopped' });
  const atMs = m.trace.now();
  if (handover !== undefined) {
    const { held } = handover;
    undo.push('the hold', () => untilDone(m.stopping, () => releaseToSource(m.run, held), m.noteRetry));
    await m.trace.step('hold new connections', () => holdNew(m.run, held));
  }
  undo.push('the stop', () => untilDone(m.stopping, () => startAgain(m.docker, started), m.noteRetry));
  // Not to be cut short: an undo starts it again when it has stopped.
  await m.trace.step('docker stop', () => m.docker.stop(workload.id));
  if (handover !== undefined) await m.trace.step('hold traffic', () => hold(m.run, handover.held));
  return { atMs, mapped };
}

/**
 * The name that it is kept under after the commit it has from now on: whoever starts it by its own, a unit of systemd or
 * a user, finds none, and does not run it beside its copy.
 */
export async function takeName(m: SourceMigration, { started }: PreparedRestart, undo: UndoStack): Promise<void> {
  undo.push('the name', async () => {
    const told = await untilDone(m.stopping, () => giveNameBack(m.docker, started, m.id), m.noteRetry);
    if (told !== undefined) m.emit({ type: 'note', message: told });
  });
  await m.trace.step('take its name', () => m.docker.rename(started.containerId, keptName(started.name, m.id)));
}

/**
 * Nothing happens where it has its name, or is gone.
 * @returns what is to be told: another container has the name by now.
 */
export async function giveNameBack(
  docker: Docker,
  { containerId, name, restart }: StartedData,
  id: string,
): Promise<string | undefined> {
  if (restart === undefined) return undefined;
  const kept = keptName(name, id);
  try {
    const { Name } = await docker.inspect(containerId);
    if (Name === `/${kept}`) await docker.rename(containerId, name);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (!/already in use/.test((error as Error).message)) throw error;
    return `another container is called ${name} by now: the one that was to move is called ${kept}`;
  }
  return undefined;
}

/** Told, where its copy was committed: it is ended, as all that it has done since. */
export async function tellIfStarted(m: SourceMigration, { facts }: PreparedRestart): Promise<void> {
  const { State } = await m.docker.inspect(facts.workload.id);
  if (State.StartedAt === startedAt(facts)) return;
  const message = `something started ${facts.workload.ref.name} here beside its copy: it is ended, with what it did since`;
  m.emit({ type: 'note', message });
}

/** All that has changed since the first passes; the writable layer raw again, as neither side has it mounted. */
export async function sendDifferences(
  m: SourceMigration,
  { trees, logs }: PreparedRestart,
  { mapped }: Stopped,
): Promise<void> {
  for (const { key, sync } of trees) {
    const onProgress = m.progress('sync', key);
    m.bytes += (await sync.stoppedPass({ alwaysPaths: mapped.get(key) ?? [], onProgress })).bytes;
    await sync[Symbol.asyncDispose]();
  }
  if (logs !== undefined) {
    await settle(logs.path);
    const { bytes, lost } = await logs.sync.finalPass();
    await logs.sync[Symbol.asyncDispose]();
    m.bytes += bytes;
    if (lost > 0) m.emit({ type: 'note', message: `${lost} bytes of the log found no room on the target` });
  }
  await m.target.settle(m.id);
}

/** @throws DrayageError STATE_CHANGED where somebody else has started or stopped it. */
export async function assertState(
  m: SourceMigration,
  { facts: { workload } }: Pick<PreparedRestart, 'facts'>,
  running: boolean,
): Promise<void> {
  const { State } = await m.docker.inspect(workload.id);
  const { ref } = workload;
  const before = startedAt({ workload });
  if (State.Running === running && State.StartedAt === before) return;
  const what = State.StartedAt === before ? 'stopped' : 'started';
  throw new DrayageError('STATE_CHANGED', `Something ${what} ${ref.name} while it was being moved.`);
}

function startedAt({ workload }: Pick<PreparedRestart['facts'], 'workload'>): string | undefined {
  return (workload.inspect as { State?: { StartedAt?: string } }).State?.StartedAt;
}

/**
 * Nothing happens where it did not run before, or is gone. One that still runs may have been told to stop, by an agent
 * or an engine that did not live to see it: it is waited for as long as that may take.
 */
export async function startAgain(
  docker: Docker,
  { containerId, restart }: Pick<StartedData, 'containerId' | 'restart'>,
  patienceMs = (restart?.stopMs ?? 0) + STOP_SLACK_MS,
): Promise<void> {
  if (restart?.running !== true) return;
  try {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const { State } = await docker.inspect(containerId);
      if (!State.Running) return await docker.start(containerId);
      if (performance.now() > deadline) return;
      await sleep(STOP_POLL_MS);
    }
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Whether it was stopped, or was about to be. */
export function wasStopped({ records }: Pick<Journal, 'records'>): boolean {
  return records.some((record) => record.type === 'state' && record.state === 'stopped');
}
