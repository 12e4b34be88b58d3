/** What is done for a tree of processes while it runs, and the last differences of its files. */
import { join } from 'node:path';
import type { ProcessTreeFacts } from '../engines/facts.ts';
import type { FileState } from '../engines/process/compare-files.ts';
import { assertWhole, enterCgroup, leaveCgroup, planCgroup, untilStill } from '../engines/process/own-cgroup.ts';
import { CARRIED } from '../engines/process/tree-copy.ts';
import { type UsedFile, usedFiles } from '../engines/process/used-files.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { fromText } from '../files/byte-path.ts';
import { ListedTransfer } from '../files/sender.ts';
import { beginTreeDump } from '../tools/criu-tree.ts';
import type { StoredRelay } from '../traffic/relays.ts';
import type { Facts } from './facts.ts';
import { noteRelay, planRelay } from './port-handover.ts';
import { beginOnTarget, type Prepared, stageMemory } from './prepared.ts';
import type { SourceMigration } from './source-migration.ts';
import { startedTree } from './started.ts';
import type { UndoStack } from './undo.ts';

export async function prepareTree(
  m: SourceMigration,
  facts: Facts & { workload: ProcessTreeFacts },
  undo: UndoStack,
): Promise<Prepared> {
  const { pid, terminals } = facts.workload;
  const cgroup = await planCgroup(`drayage-${m.id}-source`, pid, m.signal);
  const workload = { ...facts.workload, cgroupPath: cgroup.path };
  const started = startedTree(m.id, workload, cgroup);
  const { stage } = started;
  await beginOnTarget(m, { workload, options: m.options, parents: {} }, started, undo);
  undo.push('the cgroup', () => leaveCgroup(cgroup));
  await enterCgroup(cgroup, pid, m.signal);
  const { containerId, notes } = await m.trace.step('create copy', () => m.target.create(m.id));
  for (const message of notes) m.emit({ type: 'note', message });
  m.checkpoint();

  const toSend = firstFiles(workload.files, facts.target.tree?.files ?? []);
  await m.trace.step(`files (${toSend.length})`, () => sendFiles(m, toSend));
  await m.target.settle(m.id);
  m.checkpoint();

  const { memory, touched } = await stageMemory(m, workload, stage, undo);
  await m.target.settle(m.id);
  const terminal = terminals.find(({ isLed }) => isLed);
  const checkpoint = await beginTreeDump({
    ...{ run: m.run, criuPath: facts.source.criu?.path ?? '/usr/sbin/criu', pid, cgroupPath: cgroup.path },
    ...{ imagesDir: join(stage, 'images'), workDir: join(stage, 'work'), binDir: join(stage, 'bin') },
    ...{ criuConfig: join(stage, 'criu.conf'), externalTerminal: terminal?.id },
  });
  undo.push('the waiting dump', () => checkpoint.abandon());
  await m.trace.step('begin start of copy', () => m.target.begin(m.id, { descriptors: [] }));
  const relay = relayOf(m, facts);
  if (relay !== undefined) await noteRelay(m, relay);
  const last = await ListedTransfer.begin({ root: '/', overlay: false }, sending(m, 'final'));
  undo.push('the prepared transfer', async () => last.abandon());
  await touched.release();
  const sync = async (): Promise<void> => {
    await assertWhole(cgroup.path, pid, m.signal);
    const changed = lastFiles(workload.files, await usedFiles(await tasksOf(cgroup.path)));
    if (changed.length === 0) return last.abandon();
    m.bytes += (await last.send(changed.map(toRelative))).bytes;
  };
  const { path } = cgroup;
  return {
    facts: { ...facts, workload },
    untilStill: () => untilStill(path),
    started,
    containerId,
    memory,
    checkpoint,
    handover: undefined,
    addresses: undefined,
    ...(relay && { relay }),
    sync,
  };
}

function relayOf(m: SourceMigration, facts: Facts & { workload: ProcessTreeFacts }): StoredRelay | undefined {
  const planned = planRelay(facts.workload, facts, m.options);
  if (planned === undefined) return undefined;
  const { ref } = facts.workload;
  return { version: 1, id: m.id, workload: `process:${ref.name}`, peer: m.to, ...planned, since: Date.now() };
}

/** Pure: those that the target lacks, has otherwise, or that are still being written. */
export function firstFiles(files: readonly UsedFile[], states: readonly FileState[]): UsedFile[] {
  return files.filter(({ isWritten }, index) => isWritten || states[index] !== 'same');
}

/** Pure: those that may be other ones than when they were looked at first. */
export function lastFiles(before: readonly UsedFile[], now: readonly UsedFile[]): UsedFile[] {
  const known = new Map(before.map((file) => [file.path, file]));
  return now.filter((file) => {
    const then = known.get(file.path);
    return file.isWritten || then === undefined || then.mtimeMs !== file.mtimeMs || then.bytes !== file.bytes;
  });
}

async function sendFiles(m: SourceMigration, files: readonly UsedFile[]): Promise<void> {
  if (files.length === 0) return;
  const transfer = await ListedTransfer.begin({ root: '/', overlay: false }, sending(m, 'first'));
  m.bytes += (await transfer.send(files.map(toRelative))).bytes;
}

function toRelative({ path }: UsedFile): string {
  return fromText(path).slice(1);
}

function sending(m: SourceMigration, pass: 'first' | 'final'): Parameters<typeof ListedTransfer.begin>[1] {
  return {
    what: 'the processes',
    open: () => m.channel('files', { key: CARRIED, pass, isFile: false }),
    record: m.trace.program,
    signal: m.signal,
    onProgress: m.progress('prepare', 'files'),
  };
}
