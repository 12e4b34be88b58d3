/** What is done while the workload runs. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { planImage } from '../engines/docker/image-plan.ts';
import { sendImage } from '../engines/docker/images.ts';
import { missingLayers } from '../engines/docker/layers.ts';
import { logFileOf } from '../engines/docker/log-file.ts';
import { criuPathOf, isTree, type WorkloadFacts } from '../engines/facts.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { LogSync, settle } from '../files/logs.ts';
import { sharedWritableMappings } from '../files/mappings.ts';
import { readyBreakpoints } from '../tools/breakpoints.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { beginCheckpoint, externalDescriptors } from '../tools/runc.ts';
import { prepareAddresses } from './address-handover.ts';
import { contentsOf } from './archive/contents.ts';
import type { ContainerFacts, Facts } from './facts.ts';
import { prepareHandover } from './handover.ts';
import { carriedTrees, parentsThere } from './plan.ts';
import { prepareTree } from './prepare-tree.ts';
import { beginOnTarget, type Prepared, stageMemory } from './prepared.ts';
import { restoreRestart } from './retire.ts';
import type { SourceMigration } from './source-migration.ts';
import { type StartedData, startedData } from './started.ts';
import { type AnySync, type BeginSync, beginSync } from './tree-sync.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

/** A tree of files on its way. */
export interface Tree<Sync = AnySync> {
  key: string;
  sync: Sync;
}

/** The container's log on its way. */
export interface Logs {
  path: string;
  sync: LogSync;
}

/** All that can be done while the workload runs: at the end the target waits for the memory images. */
export async function prepare(m: SourceMigration, facts: Facts, undo: UndoStack): Promise<Prepared> {
  const { workload, source } = facts;
  const prepared = isTree(workload)
    ? await prepareTree(m, { ...facts, workload }, undo)
    : await prepareContainer(m, { ...facts, workload }, undo);
  // Nobody waits for what is exported for good.
  if (m.target.oneWay && !m.options.leaveRunning) return prepared;
  const { stage: dir } = prepared.started;
  // Last, since they are ready for a second only.
  await m.trace.step('ready breakpoints', () => readyBreakpoints({ run: m.run, criuPath: criuPathOf(source), dir }));
  return prepared;
}

async function prepareContainer(m: SourceMigration, facts: ContainerFacts, undo: UndoStack): Promise<Prepared> {
  const { workload } = facts;
  const started = startedData(m.id, workload);
  const { containerId, trees } = await prepareCopy(m, { facts, started, begin: beginSync }, undo);

  const { stage } = started;
  const { memory, touched } = await stageMemory(m, workload, stage, undo);
  const logs = logsOf(m, facts);
  m.bytes += (await logs?.sync.firstPass()) ?? 0;
  await m.target.settle(m.id);
  const checkpoint = await beginCheckpoint({
    run: m.run,
    root: workload.runtimeRoot,
    containerId: workload.id,
    imagesDir: join(stage, 'images'),
    workDir: join(stage, 'work'),
    criuConfig: join(stage, 'criu.conf'),
    criuPath: criuPathOf(facts.source),
    binDir: join(stage, 'bin'),
  });
  undo.push('the waiting dump', () => checkpoint.abandon());
  const descriptors = await externalDescriptors(workload.runtimeRoot, workload.id);
  await m.trace.step('begin start of copy', () => m.target.begin(m.id, { descriptors }));
  undo.push('the prepared transfers', async () => {
    for (const { sync } of trees) await sync[Symbol.asyncDispose]();
    await logs?.sync[Symbol.asyncDispose]();
  });
  await Promise.all([...trees.map(({ sync }) => sync.prepareFinal()), logs?.sync.prepareFinal()]);
  await disableRestart(m, started, undo);
  const handover = await m.trace.step('prepare handover', () => prepareHandover(m, facts, undo));
  const addresses = await m.trace.step('prepare addresses', () => prepareAddresses(m, workload, undo));
  await touched.release();
  const sync = (dumped: Promise<void>) => finalPasses(m, { workload, trees, logs }, dumped);
  return { facts, started, containerId, memory, checkpoint, handover, addresses, sync };
}

interface CopyPlan<Sync> {
  facts: ContainerFacts;
  started: StartedData;
  begin: BeginSync<Sync>;
}

/** The copy on the target, not started, and all files as they are now. */
export async function prepareCopy<Sync extends AnySync>(
  m: SourceMigration,
  { facts, started, begin }: CopyPlan<Sync>,
  undo: UndoStack,
): Promise<{ containerId: string; trees: Tree<Sync>[] }> {
  const { workload, target } = facts;
  const strategy = started.restart === undefined ? 'live' : 'restart';
  const options = { ...m.options, strategy } as const;
  await beginOnTarget(m, { workload, options, parents: parentsThere(facts) }, started, undo);
  const missing = missingLayers(workload.image.layers, target.docker?.layers ?? []);
  if (planImage(workload.image, target).load) {
    await m.trace.step(`image (${missing.length} layers)`, () => carryImage(m, facts));
  }
  const { containerId, notes } = await m.trace.step('create copy', () => m.target.create(m.id));
  for (const message of notes) m.emit({ type: 'note', message });
  m.checkpoint();

  const trees = await m.trace.step('files, first pass', () => firstPasses(m, workload, begin));
  m.checkpoint();
  return { containerId, trees };
}

/** A restart policy would revive the source's copy when it is killed, or when its engine restarts. */
export async function disableRestart(
  m: SourceMigration,
  { containerId, restartPolicy }: StartedData,
  undo: UndoStack,
): Promise<void> {
  if (restartPolicy.Name === 'no' || restartPolicy.Name === '') return;
  undo.push('the restart policy', () =>
    untilDone(m.stopping, () => restoreRestart(m.docker, containerId, restartPolicy), m.noteRetry),
  );
  await m.docker.update(containerId, { RestartPolicy: { Name: 'no' } });
}

async function carryImage(m: SourceMigration, { workload, target }: ContainerFacts): Promise<void> {
  const channel = await m.channel('image', {});
  const onProgress = m.progress('prepare', 'image', workload.image.bytes);
  const { bytes } = await sendImage(m.docker, workload.image, target.docker?.layers ?? [], channel, {
    signal: m.signal,
    onProgress,
  });
  m.bytes += bytes;
  await m.target.settle(m.id);
}

async function firstPasses<Sync extends AnySync>(
  m: SourceMigration,
  workload: WorkloadFacts,
  begin: BeginSync<Sync>,
): Promise<Tree<Sync>[]> {
  const trees: Tree<Sync>[] = [];
  for (const tree of carriedTrees(workload.files, m.options)) {
    const sync = await begin(m, workload, tree);
    m.bytes += (await sync.firstPass()).bytes;
    trees.push({ key: tree.key, sync });
  }
  await m.target.settle(m.id);
  return trees;
}

export function logsOf(m: SourceMigration, { workload, source }: ContainerFacts): Logs | undefined {
  const file = logFileOf(workload.inspect as ContainerInspect, source.docker?.dataRoot ?? '/var/lib/docker');
  if (file === undefined) return undefined;
  const { path, format } = file;
  const open = () => m.channel('logs', {});
  return { path, sync: new LogSync({ logPath: path, format, open, signal: m.signal }) };
}

interface FinalPasses {
  workload: WorkloadFacts;
  trees: readonly Tree[];
  logs: Logs | undefined;
}

async function finalPasses(
  m: SourceMigration,
  { workload, trees, logs }: FinalPasses,
  dumped: Promise<void>,
): Promise<void> {
  const pids = await tasksOf(workload.cgroupPath); // Now: it may have forked since the survey.
  await m.target.describe?.(await contentsOf(pids));
  const mapped = sharedWritableMappings(pids, workload.files);
  await Promise.all([
    dumped,
    logs === undefined ? undefined : drained(logs.path, dumped),
    ...trees.map(async ({ key, sync }) => {
      m.bytes += (await sync.finalPass({ alwaysPaths: mapped.get(key) ?? [] })).bytes;
      await sync[Symbol.asyncDispose](); // Lets go of a prepared transfer that was not needed.
    }),
  ]);
  if (logs === undefined) return;
  const { bytes, lost } = await logs.sync.finalPass();
  await logs.sync[Symbol.asyncDispose]();
  m.bytes += bytes;
  if (lost > 0) m.emit({ type: 'note', message: `${lost} bytes of the log found no room on the target` });
}

/** By the end of the dump the engine has drained the pipe and written the last lines; what came late has settled. */
async function drained(log: string, dumped: Promise<void>): Promise<void> {
  const size = () => statSync(log, { throwIfNoEntry: false })?.size;
  await settle(log);
  const settled = size();
  await dumped;
  if (size() !== settled) await settle(log);
}
