/** What becomes of the source's copy after the commit. */
import { setTimeout as sleep } from 'node:timers/promises';
import { keptName } from '../engines/docker/kept-copy.ts';
import { thaw } from '../engines/freezer.ts';
import { noteLeft } from '../engines/process/left-files.ts';
import { removeCgroup } from '../engines/process/own-cgroup.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { DrayageError } from '../errors.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { RestartPolicy } from '../tools/docker-types.ts';
import { unmountTmpfs } from '../tools/tmpfs.ts';
import type { SourceSide } from '../traffic/forward.ts';
import { notSwitched, toldOf } from '../traffic/store.ts';
import { followAddresses, settleAddresses } from './address-handover.ts';
import { followPorts } from './port-handover.ts';
import type { Prepared } from './prepared.ts';
import type { SourceMigration } from './source-migration.ts';
import type { StartedData } from './started.ts';
import { leaveOlder, settleForward, switchTraffic } from './switch-traffic.ts';
import { untilDone } from './until-done.ts';

const RELEASE_PATIENCE_MS = 15_000;

/**
 * After the commit: the target's copy becomes an ordinary container, the source's is killed without running again and
 * kept under another name, or removed. Repeated until it succeeds, or told as a note and left to the next start.
 * @param recorded when the commit is in the journal; before it nothing of the source is touched
 */
export async function retire(
  m: SourceMigration,
  { started, handover, addresses, relay }: Pick<Prepared, 'started' | 'handover' | 'addresses' | 'relay'>,
  { forward, recorded }: { forward: SourceSide | undefined; recorded: Promise<void> },
): Promise<{ keptAs?: string }> {
  // First of all: clients wait.
  const following = addresses && followAddresses(m, addresses);
  const switching = handover !== undefined && forward !== undefined ? switchTraffic(m, handover, forward) : [];
  const [switched] = await Promise.all([switching, following, recorded]);
  const failures: unknown[] = [...switched];
  const released = m.target.release(m.id).then(
    ({ spans, notes }) => {
      m.trace.adopt(spans, m.targetOffsetMs);
      for (const message of notes) m.emit({ type: 'note', message });
    },
    (error: unknown) =>
      m.emit({
        type: 'note',
        message: `the target will release the copy by itself: ${DrayageError.from(error).message}`,
      }),
  );
  const kept = await untilDone(m.stopping, () => retireCopy(m, started), m.noteRetry);
  // Until then its ports are held.
  if (relay !== undefined) await untilDone(m.stopping, () => followPorts(m.run, m.relays, relay), m.noteRetry);
  if (handover !== undefined && forward !== undefined) failures.push(...(await settleForward(m, handover, forward)));
  if (addresses !== undefined) await settleAddresses(m, addresses);
  await unmountTmpfs(m.run, started.stage);
  // The workload runs: a target that takes its time over tidying up is no reason to keep anybody waiting.
  await Promise.race([released, sleep(RELEASE_PATIENCE_MS, undefined, { ref: false })]);
  if (handover !== undefined) failures.push(...(await leaveOlder(m, handover)));
  if (failures.length > 0) {
    const { workload = m.workload } = handover ?? {};
    m.emit({ type: 'note', message: toldOf(notSwitched({ id: m.id, workload }, failures[0])) });
  }
  return kept;
}

/** Kills the frozen copy, renames it where it is not yet, or removes it. Nothing happens for what has been done before. */
export async function retireCopy(
  m: Pick<SourceMigration, 'docker' | 'journal' | 'options' | 'id'>,
  { containerId, name, cgroupPath, volumes, homes, limited = [], written = [] }: StartedData,
): Promise<{ keptAs?: string }> {
  await killFrozen(cgroupPath);
  if (homes !== undefined) {
    await removeCgroup(cgroupPath);
    // Somebody may have put others into them.
    for (const path of limited) await removeCgroup(path).catch(() => {});
    await noteLeft(written);
    await m.journal.append({ type: 'state', state: 'retired' });
    return {};
  }
  const keptAs = keptName(name, m.id);
  try {
    await m.docker.wait(containerId, { signal: AbortSignal.timeout(30_000) });
    if (m.options.remove) await removeCopy(m.docker, containerId, volumes);
    else if ((await m.docker.inspect(containerId)).Name !== `/${keptAs}`) await m.docker.rename(containerId, keptAs);
  } catch (error) {
    if (!isNotFound(error)) throw error; // Gone with --rm.
  }
  const isKept = await m.docker.inspect(containerId).then(
    () => true,
    () => false,
  );
  await m.journal.append({ type: 'state', state: 'retired' });
  return isKept ? { keptAs } : {};
}

/** With its volumes, whose content is on the target by now; one that another container uses stays. */
async function removeCopy(docker: Docker, containerId: string, volumes: readonly string[]): Promise<void> {
  await docker.remove(containerId, { force: true, volumes: true });
  for (const volume of volumes) await docker.removeVolume(volume).catch(() => {});
}

/** Gives it back its restart policy; nothing happens where it is gone. */
export async function restoreRestart(docker: Docker, containerId: string, policy: RestartPolicy): Promise<void> {
  await docker.update(containerId, { RestartPolicy: policy }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

/**
 * SIGKILL is pending for every task, those in cgroups of their own included, before the thaw: none runs another
 * instruction of its own.
 */
async function killFrozen(cgroupPath: string): Promise<void> {
  if (cgroupPath === '') return; // It did not run.
  for (const pid of await tasksOf(cgroupPath)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
  thaw(cgroupPath);
}
