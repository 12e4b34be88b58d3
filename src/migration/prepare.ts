/** What is done while the workload runs. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planImage } from '../engines/docker/image-plan.ts';
import { sendImage } from '../engines/docker/images.ts';
import { missingLayers } from '../engines/docker/layers.ts';
import { logFileOf } from '../engines/docker/log-file.ts';
import type { WorkloadFacts } from '../engines/facts.ts';
import { isFrozen } from '../engines/freezer.ts';
import { dumpOptions } from '../engines/processes/criu-options.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { DrayageError } from '../errors.ts';
import { LogSync } from '../files/logs.ts';
import { TreeSync } from '../files/sync.ts';
import { MemorySync } from '../memory/memory-sync.ts';
import { TouchedMemory } from '../memory/touch.ts';
import { placeTar } from '../tools/criu-tar.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { Checkpoint, externalDescriptors } from '../tools/runc.ts';
import { mountTmpfs, unmountTmpfs } from '../tools/tmpfs.ts';
import { type AddressHandover, prepareAddresses } from './address-handover.ts';
import type { Facts } from './facts.ts';
import { type Handover, prepareHandover } from './handover.ts';
import { carriedTrees, parentsThere } from './plan.ts';
import { restoreRestart } from './retire.ts';
import type { SourceMigration } from './source-migration.ts';
import { type StartedData, startedData } from './started.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Prepared {
  facts: Facts;
  /** The copy's id on the target. */
  containerId: string;
  stage: string;
  trees: Tree[];
  logs: Logs | undefined;
  memory: MemorySync;
  checkpoint: Checkpoint;
  /** Undefined where no traffic follows. */
  handover: Handover | undefined;
  /** Undefined where it has none of its own on the LAN. */
  addresses: AddressHandover | undefined;
}

/** A tree of files on its way. */
interface Tree {
  key: string;
  sync: TreeSync;
}

/** The container's log on its way. */
interface Logs {
  path: string;
  sync: LogSync;
}

/** Memory images take the memory itself and some for what CRIU notes of every object. */
const IMAGES_OVERHEAD = { factor: 1.3, bytes: 128 << 20 };
/** Less memory than this is sent in the freeze faster than it is hashed beforehand. */
const PRECOPY_FROM_BYTES = 24 << 20;

/** All that can be done while the workload runs: at the end the target's engine waits for the memory images. */
export async function prepare(m: SourceMigration, facts: Facts, undo: UndoStack): Promise<Prepared> {
  const { workload, target } = facts;
  if (isFrozen(workload.cgroupPath)) throw frozenByAnother(workload);
  const started = startedData(m.id, workload);
  await m.journal.append({ type: 'state', state: 'started', data: started });
  undo.push('the target', async () => {
    const { spans } = await m.target.abort(m.id, m.cancelled?.message ?? 'the source undid it');
    m.trace.adopt(spans, m.targetOffsetMs);
  });
  await m.target.open({ id: m.id, workload, options: m.options, parents: parentsThere(facts) });
  m.targetOffsetMs = m.trace.now();
  const missing = missingLayers(workload.image.layers, target.docker?.layers ?? []);
  if (planImage(workload.image, target).load) {
    await m.trace.step(`image (${missing.length} layers)`, () => carryImage(m, facts));
  }
  const { containerId, notes } = await m.trace.step('create copy', () => m.target.create(m.id));
  for (const message of notes) m.emit({ type: 'note', message });
  m.checkpoint();

  const trees = await m.trace.step('files, first pass', () => firstPasses(m, workload));
  m.checkpoint();

  const { stage } = started;
  const imagesBytes = Math.ceil(workload.memoryBytes * IMAGES_OVERHEAD.factor) + IMAGES_OVERHEAD.bytes;
  undo.push('the staging area', () => unmountTmpfs(m.run, stage));
  await mountTmpfs(m.run, stage, imagesBytes);
  await mkdir(join(stage, 'images'), { mode: 0o700 });
  await mkdir(join(stage, 'work'), { mode: 0o700 });
  await placeTar(join(stage, 'bin'));
  const touched = TouchedMemory.begin(join(stage, 'touched'), workload.memoryBytes);
  undo.push('the touched memory', () => touched.release());
  // Traffic is not held by CRIU's lock: it costs 30 ms, and an iptables run on each side.
  const options = ['network-lock skip', ...dumpOptions(workload.processes, m.options)];
  await writeFile(join(stage, 'criu.conf'), `${options.join('\n')}\n`, { mode: 0o600 });
  const memory = await MemorySync.open({
    dir: join(stage, 'hashes'),
    // The target holds what was sent beforehand besides what has changed since; a limit reserves nothing.
    open: () => m.channel('memory', { imagesBytes: 2 * imagesBytes }),
    signal: m.signal,
  });
  undo.push('the memory stream', async () => memory[Symbol.dispose]());
  if (workload.memoryBytes >= PRECOPY_FROM_BYTES) {
    const progress = m.progress('precopy', 'memory', workload.memoryBytes);
    await m.phase('precopy', async () => memory.precopy(await tasksOf(workload.cgroupPath), progress));
    m.checkpoint();
  }

  const logs = logsOf(m, facts);
  m.bytes += (await logs?.sync.firstPass()) ?? 0;
  await m.target.settle(m.id);
  const checkpoint = await Checkpoint.begin({
    run: m.run,
    root: workload.runtimeRoot,
    containerId: workload.id,
    imagesDir: join(stage, 'images'),
    workDir: join(stage, 'work'),
    criuConfig: join(stage, 'criu.conf'),
    criuPath: facts.source.criu?.path ?? '/usr/sbin/criu',
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
  return { facts, containerId, stage, trees, logs, memory, checkpoint, handover, addresses };
}

/** A migration in doubt keeps its workload frozen, also over a restart of the agent: nothing else may thaw it. */
export function frozenByAnother({ ref }: WorkloadFacts): DrayageError {
  return new DrayageError('WORKLOAD_BUSY', `${ref.name} is frozen, by another migration that has not come to its end.`);
}

/** A restart policy would revive the source's copy when it is killed, or when its engine restarts. */
async function disableRestart(
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

async function carryImage(m: SourceMigration, { workload, target }: Facts): Promise<void> {
  const channel = await m.channel('image', {});
  const onProgress = m.progress('prepare', 'image', workload.image.bytes);
  const { bytes } = await sendImage(m.docker, workload.image, target.docker?.layers ?? [], channel, {
    signal: m.signal,
    onProgress,
  });
  m.bytes += bytes;
  await m.target.settle(m.id);
}

async function firstPasses(m: SourceMigration, workload: WorkloadFacts): Promise<Tree[]> {
  const trees: Tree[] = [];
  for (const tree of carriedTrees(workload.files, m.options)) {
    const isFile = !(await stat(tree.path)).isDirectory();
    const sync = await TreeSync.begin({
      tree,
      ...(tree.kind === 'upper' ? { merged: await mergedDir(m, workload) } : {}),
      openRemote: (key, pass) => m.channel('files', { key, pass, isFile }),
      pruneRemote: (key, listings) => m.target.prune(m.id, key, listings),
      record: m.trace.program,
      signal: m.signal,
      onProgress: m.progress('prepare', tree.key, tree.bytes),
    });
    m.bytes += (await sync.firstPass()).bytes;
    trees.push({ key: tree.key, sync });
  }
  await m.target.settle(m.id);
  return trees;
}

/** The source's own view of its root file system, without what is mounted into it. */
async function mergedDir(m: SourceMigration, { id, ref }: WorkloadFacts): Promise<string> {
  const { GraphDriver } = await m.docker.inspect(id, { signal: m.signal });
  if (GraphDriver?.Data?.MergedDir !== undefined) return GraphDriver.Data.MergedDir;
  throw new DrayageError('TARGET_STORAGE', `The engine does not tell where ${ref.name} keeps its files.`);
}

function logsOf(m: SourceMigration, { workload, source }: Facts): Logs | undefined {
  const file = logFileOf(workload.inspect as ContainerInspect, source.docker?.dataRoot ?? '/var/lib/docker');
  if (file === undefined) return undefined;
  const { path, format } = file;
  const open = () => m.channel('logs', {});
  return { path, sync: new LogSync({ logPath: path, format, open, signal: m.signal }) };
}
