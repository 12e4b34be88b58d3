/** What is done for a tree of processes while it runs, and the last differences of its files. */
import { join } from 'node:path';
import { criuPathOf, type ProcessTreeFacts } from '../engines/facts.ts';
import type { FileState } from '../engines/process/compare-files.ts';
import { assertWhole, enterCgroup, leaveCgroup, planCgroup, sourceCgroup } from '../engines/process/own-cgroup.ts';
import { CARRIED } from '../engines/process/tree-copy.ts';
import { lookAgain, type UsedFile, usedFiles } from '../engines/process/used-files.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { type BytePath, fromText, parentOf } from '../files/byte-path.ts';
import { writeChanges } from '../files/packed.ts';
import { packPaths } from '../files/packed-source.ts';
import { ListedTransfer } from '../files/sender.ts';
import { readShort } from '../files/short-files.ts';
import type { Listing } from '../files/target.ts';
import { beginTreeDump } from '../tools/criu-tree.ts';
import type { StoredRelay } from '../traffic/relays.ts';
import { contentsOf } from './archive/contents.ts';
import type { Facts } from './facts.ts';
import { noteRelay, planRelay } from './port-handover.ts';
import { beginOnTarget, type Prepared, stageMemory } from './prepared.ts';
import type { SourceMigration } from './source-migration.ts';
import { startedTree } from './started.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export async function prepareTree(
  m: SourceMigration,
  facts: Facts & { workload: ProcessTreeFacts },
  undo: UndoStack,
): Promise<Prepared> {
  const { pid, terminals } = facts.workload;
  const cgroup = await planCgroup(sourceCgroup(m.id), facts.workload, m.signal);
  const workload = { ...facts.workload, cgroupPath: cgroup.path };
  const started = startedTree(m.id, workload, cgroup);
  const { stage } = started;
  await beginOnTarget(m, { workload, options: m.options, parents: {} }, started, undo);
  undo.push('the cgroup', () => untilDone(m.stopping, () => leaveCgroup(cgroup), m.noteRetry));
  await enterCgroup(cgroup, workload, m.signal);
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
    ...{ run: m.run, criuPath: criuPathOf(facts.source), pid, cgroupPath: cgroup.path },
    ...{ imagesDir: join(stage, 'images'), workDir: join(stage, 'work'), binDir: join(stage, 'bin') },
    ...{ criuConfig: join(stage, 'criu.conf'), externalTerminal: terminal?.id },
  });
  undo.push('the waiting dump', () => checkpoint.abandon());
  await m.trace.step('begin start of copy', () => m.target.begin(m.id, { descriptors: [] }));
  const relay = relayOf(m, facts);
  if (relay !== undefined) await noteRelay(m, relay);
  const last = m.target.oneWay ? undefined : await ListedTransfer.begin(ALL, sending(m, 'final'));
  undo.push('the prepared transfer', async () => last?.abandon());
  await touched.release();
  const sync = async (): Promise<void> => {
    await assertWhole(cgroup.path, pid);
    const pids = await tasksOf(cgroup.path);
    await m.target.describe?.(await contentsOf(pids));
    const used = await usedFiles(pids);
    const { there, gone } = await noLongerUsed(toSend, used);
    const changed = lastFiles(workload.files, [...used, ...there]);
    const listings = listingsWithout(gone, [...toSend, ...changed]);
    if (last === undefined) {
      m.bytes += await packFiles(m, changed, 'final', listings);
      return;
    }
    if (gone.length > 0) await m.target.prune(m.id, CARRIED, listings);
    if (await rewrite(m, toSend, changed)) return last.abandon();
    m.bytes += (await last.send(changed.map(toRelative))).bytes;
    // Puts them in place, while the dump goes on.
    await m.target.settle(m.id);
  };
  return {
    facts: { ...facts, workload },
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

/** @returns whether that was enough to bring the target up to date */
async function rewrite(m: SourceMigration, sent: readonly UsedFile[], changed: readonly UsedFile[]): Promise<boolean> {
  const short = canRewrite(sent, changed) ? readShort('', changed.map(toRelative)) : undefined;
  if (short === undefined || !(await m.target.rewrite(m.id, CARRIED, short))) return false;
  for (const { content } of short) m.bytes += Buffer.byteLength(content, 'base64');
  return true;
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

/**
 * Pure: whether all that has changed is what the processes themselves wrote into files that are there, each a file for
 * itself. A program or library is not written over: somebody else on the target may be using it by now.
 */
export function canRewrite(sent: readonly UsedFile[], changed: readonly UsedFile[]): boolean {
  const isData = ({ kind, mode, isShared }: UsedFile): boolean =>
    kind === 'file' && isShared !== true && (mode & 0o111) === 0;
  const there = new Set(sent.filter(isData).map(({ path }) => path));
  return changed.every((file) => isData(file) && file.isWritten && there.has(file.path));
}

/** Pure: for the directories of those that are gone, what is staged in them all the same. */
export function listingsWithout(gone: readonly UsedFile[], staged: readonly UsedFile[]): Listing[] {
  const [without, paths] = [new Set(gone.map(toRelative)), staged.map(toRelative)];
  const kept = paths.filter((path) => !without.has(path)).flatMap((path) => [...above(path), path]);
  return [...new Set([...without].map(parentOf))].map((path) => {
    const names = kept
      .filter((one) => one !== '' && parentOf(one) === path)
      .map((one) => one.slice(one.lastIndexOf('/') + 1));
    return { path, names: [...new Set(names)] };
  });
}

/** What was sent before the freeze and closed since: it may have been sent half written, or be another one by now. */
async function noLongerUsed(
  sent: readonly UsedFile[],
  used: readonly UsedFile[],
): Promise<{ there: UsedFile[]; gone: UsedFile[] }> {
  const known = new Set(used.map(({ path }) => path));
  const closed = sent.filter(({ path }) => !known.has(path));
  const now = await Promise.all(closed.map(lookAgain));
  return {
    there: now.filter((file) => file !== undefined),
    gone: closed.filter((_, index) => now[index] === undefined),
  };
}

async function sendFiles(m: SourceMigration, files: readonly UsedFile[]): Promise<void> {
  if (files.length === 0) return;
  if (m.target.oneWay) {
    m.bytes += await packFiles(m, files, 'first');
    return;
  }
  const transfer = await ListedTransfer.begin(ALL, sending(m, 'first'));
  m.bytes += (await transfer.send(files.map(toRelative))).bytes;
}

/** For an archive: with the directories that lead to them, and in the final pass behind a list of what they replace. */
async function packFiles(
  m: SourceMigration,
  files: readonly UsedFile[],
  pass: 'first' | 'final',
  listings: Listing[] = [],
): Promise<number> {
  const paths = files.map(toRelative);
  if (pass === 'final' && files.length + listings.length > 0) {
    const ordinary = files.filter(({ kind }) => kind !== 'directory').map(toRelative);
    await writeChanges(await m.channel('changes', { key: CARRIED }), { listings, paths: ordinary, links: [] });
  }
  if (files.length === 0) return 0;
  const open = () => m.channel('tar', { key: CARRIED, pass, isFile: false });
  const isStill = pass === 'final';
  const how = { record: m.trace.program, signal: m.signal, onProgress: m.progress('prepare', 'files') };
  const listed = new Set([...paths.flatMap(above), ...paths]);
  return packPaths({ ...how, what: 'the processes', open, isStill }, { root: '/', paths: listed });
}

/** Directories that lead to a path, from the highest on. */
function above(path: BytePath): BytePath[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}

const ALL = { root: '/', overlay: false };

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
