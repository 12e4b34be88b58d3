/** The source's steps of a migration, in the order in which migrate.ts takes them. */
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { planImage } from '../engines/docker/image-plan.ts';
import { sendImage } from '../engines/docker/images.ts';
import { keptName } from '../engines/docker/kept-copy.ts';
import { missingLayers } from '../engines/docker/layers.ts';
import { logFileOf } from '../engines/docker/log-file.ts';
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { freeze, isFrozen, thaw } from '../engines/freezer.ts';
import { dumpOptions } from '../engines/processes/criu-options.ts';
import { DrayageError } from '../errors.ts';
import { LogSync, settle } from '../files/logs.ts';
import { sharedWritableMappings } from '../files/mappings.ts';
import { TreeSync } from '../files/sync.ts';
import { MemorySync } from '../memory/memory-sync.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { ContainerInspect, RestartPolicy } from '../tools/docker-types.ts';
import { checkpoint, externalDescriptors } from '../tools/runc.ts';
import { mountTmpfs, unmountTmpfs } from '../tools/tmpfs.ts';
import { explainFailure } from './explain-failure.ts';
import type { Finding } from './finding.ts';
import { carriedTrees } from './plan.ts';
import { preflight } from './preflight.ts';
import type { SourceMigration } from './source-migration.ts';
import { surveyWorkload } from './survey.ts';
import { STAGE_DIR } from './target-session.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

export interface Facts {
  workload: WorkloadFacts;
  source: HostFacts;
  target: HostFacts;
}

export interface Prepared {
  facts: Facts;
  /** The copy's id on the target. */
  containerId: string;
  stage: string;
  trees: Tree[];
  logs: Logs | undefined;
  memory: MemorySync;
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

export interface Frozen {
  /** When the workload stopped running, in milliseconds from the migration's start. */
  atMs: number;
}

/** What recovery after a crash needs to know; in the journal before anything is touched. */
export const startedSchema = z.object({
  containerId: z.string(),
  name: z.string(),
  cgroupPath: z.string(),
  restartPolicy: z.object({ Name: z.string(), MaximumRetryCount: z.number().exactOptional() }),
  stage: z.string(),
});
export type StartedData = z.infer<typeof startedSchema>;

/** Memory images take the memory itself and some for what CRIU notes of every object. */
const IMAGES_OVERHEAD = { factor: 1.3, bytes: 128 << 20 };
/** Less memory than this is sent in the freeze faster than it is hashed beforehand. */
const PRECOPY_FROM_BYTES = 24 << 20;
const STRAGGLER_PATIENCE_MS = 5000;
const RELEASE_PATIENCE_MS = 15_000;

/** Nothing is touched. */
export async function survey(m: SourceMigration): Promise<Facts> {
  const [workload, source, target] = await Promise.all([
    surveyWorkload(m.docker, m.run, m.workload, m.signal),
    m.hostFacts(m.signal),
    m.target.survey(),
  ]);
  return { workload, source, target };
}

/** @throws DrayageError MIGRATION_BLOCKED where a finding blocks. */
export function checkFindings(m: SourceMigration, { workload, source, target }: Facts): Finding[] {
  const findings = preflight(workload, source, target, m.options);
  m.emit({ type: 'findings', findings });
  const blocking = findings.filter((finding) => finding.severity === 'blocks');
  const [first, ...more] = blocking;
  if (first === undefined) return findings;
  const others = more.length === 0 ? '' : ` (and ${more.length} more findings that block)`;
  throw new DrayageError('MIGRATION_BLOCKED', `${first.message}${others}`, {
    meaning: first.meaning,
    remedy: first.remedy,
  });
}

/** All that can be done while the workload runs: at the end the target's engine waits for the memory images. */
export async function prepare(m: SourceMigration, facts: Facts, undo: UndoStack): Promise<Prepared> {
  const { workload, target } = facts;
  const started: StartedData = {
    containerId: workload.id,
    name: workload.ref.name,
    cgroupPath: workload.cgroupPath,
    restartPolicy: restartPolicyOf(workload),
    stage: join(STAGE_DIR, `${m.id}.source`),
  };
  await m.journal.append({ type: 'state', state: 'started', data: started });
  undo.push('the target', async () => {
    const { spans } = await m.target.abort(m.id, m.cancelled?.message ?? 'the source undid it');
    m.trace.adopt(spans, m.targetOffsetMs);
  });
  m.targetOffsetMs = m.trace.now();
  await m.target.open({ id: m.id, workload, options: m.options });
  await disableRestart(m, workload, undo);
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
  // Traffic is not held by CRIU's lock: it costs 30 ms, and an iptables run on each side.
  const options = ['network-lock skip', ...dumpOptions(workload.processes, m.options)];
  await writeFile(join(stage, 'criu.conf'), `${options.join('\n')}\n`, { mode: 0o600 });
  const memory = await MemorySync.open({
    dir: join(stage, 'hashes'),
    open: () => m.channel('memory', { imagesBytes }),
    signal: m.signal,
  });
  undo.push('the memory stream', async () => memory[Symbol.dispose]());
  if (workload.memoryBytes >= PRECOPY_FROM_BYTES) {
    const progress = m.progress('precopy', 'memory', workload.memoryBytes);
    await m.phase('precopy', async () => memory.precopy(await pidsOf(workload.cgroupPath), progress));
    m.checkpoint();
  }

  const logs = logsOf(m, facts);
  m.bytes += (await logs?.sync.firstPass()) ?? 0;
  await m.target.settle(m.id);
  const descriptors = await externalDescriptors(workload.runtimeRoot, workload.id);
  await m.trace.step('begin start of copy', () => m.target.begin(m.id, { descriptors }));
  undo.push('the prepared transfers', async () => {
    for (const { sync } of trees) await sync[Symbol.asyncDispose]();
    await logs?.sync[Symbol.asyncDispose]();
  });
  await Promise.all([...trees.map(({ sync }) => sync.prepareFinal()), logs?.sync.prepareFinal()]);
  return { facts, containerId, stage, trees, logs, memory };
}

/** From here on the workload stands still. */
export async function freezeWorkload(m: SourceMigration, { facts }: Prepared, undo: UndoStack): Promise<Frozen> {
  const { cgroupPath } = facts.workload;
  await m.journal.append({ type: 'state', state: 'frozen' });
  undo.push('the freeze', () => thaw(cgroupPath));
  const atMs = m.trace.now();
  await freeze(cgroupPath);
  return { atMs };
}

/** Dump, transfer of the images and the last file differences, side by side; all is on the target at the end. */
export async function dump(m: SourceMigration, prepared: Prepared, undo: UndoStack): Promise<void> {
  const { facts, stage, memory } = prepared;
  const imagesDir = join(stage, 'images');
  const dumped = m.phase('dump', () => checkpointTo(m, facts.workload, stage, imagesDir));
  // A dump in progress must end before anything is thawed under it.
  undo.push('the dump', () => dumped.catch(() => {}));
  const progress = m.progress('transfer', 'memory', facts.workload.memoryBytes);
  const sent = memory.sendDump(imagesDir, dumped, progress);
  const synced = m.phase('sync', () => finalPasses(m, prepared, dumped));
  const transferred = dumped.then(() => m.phase('transfer', () => sent));
  const outcomes = await Promise.allSettled([dumped, synced, transferred, sent]);
  m.checkpoint();
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  assertFrozen(facts.workload);
  m.bytes += memory.bytes;
  memory[Symbol.dispose]();
}

/** @throws DrayageError THAWED_MEANWHILE where the workload may have run on after its dump. */
export function assertFrozen({ cgroupPath, ref }: WorkloadFacts): void {
  if (!isFrozen(cgroupPath))
    throw new DrayageError('THAWED_MEANWHILE', `Something thawed ${ref.name} while it was being moved.`);
}

/**
 * After the commit: the target's copy becomes an ordinary container, the source's is killed without running again and
 * kept under another name, or removed. Repeated until it succeeds, or told as a note and left to the next start.
 */
export async function retire(m: SourceMigration, { facts, stage }: Prepared): Promise<{ keptAs?: string }> {
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
  const { id: containerId, ref, cgroupPath } = facts.workload;
  const kept = await untilDone(
    m.stopping,
    () => retireCopy(m, { containerId, name: ref.name, cgroupPath }),
    m.noteRetry,
  );
  await unmountTmpfs(m.run, stage);
  // The workload runs: a target that takes its time over tidying up is no reason to keep anybody waiting.
  await Promise.race([released, sleep(RELEASE_PATIENCE_MS, undefined, { ref: false })]);
  return kept;
}

/** Kills the frozen copy, renames or removes it. Nothing happens for what has been done before. */
export async function retireCopy(
  m: Pick<SourceMigration, 'docker' | 'journal' | 'options' | 'id'>,
  { containerId, name, cgroupPath }: Pick<StartedData, 'containerId' | 'name' | 'cgroupPath'>,
): Promise<{ keptAs?: string }> {
  await killFrozen(cgroupPath);
  const keptAs = keptName(name, m.id);
  try {
    await m.docker.wait(containerId, { signal: AbortSignal.timeout(30_000) });
    if (m.options.remove) await m.docker.remove(containerId, { force: true, volumes: true });
    else await m.docker.rename(containerId, keptAs);
  } catch (error) {
    const { Name: current } = await m.docker.inspect(containerId).catch(() => ({ Name: undefined }));
    // Gone with --rm, or done already by an agent that crashed afterwards.
    if (current !== `/${keptAs}` && !isNotFound(error)) throw error;
  }
  await m.journal.append({ type: 'state', state: 'retired' });
  return m.options.remove ? {} : { keptAs };
}

/** SIGKILL is pending before the thaw, so no task runs another instruction of its own. */
async function killFrozen(cgroupPath: string): Promise<void> {
  for (const pid of await pidsOf(cgroupPath)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
  thaw(cgroupPath);
}

/** Of all processes of the cgroup; none where it is gone. */
async function pidsOf(cgroupPath: string): Promise<number[]> {
  const pids = await readFile(join(cgroupPath, 'cgroup.procs'), 'utf8').catch(() => '');
  return pids.split('\n').filter(Boolean).map(Number);
}

/** A restart policy would revive the source's copy when it is killed, or when its engine restarts. */
async function disableRestart(m: SourceMigration, workload: WorkloadFacts, undo: UndoStack): Promise<void> {
  const policy = restartPolicyOf(workload);
  if (policy.Name === 'no' || policy.Name === '') return;
  undo.push('the restart policy', () =>
    untilDone(m.stopping, () => restoreRestart(m.docker, workload.id, policy), m.noteRetry),
  );
  await m.docker.update(workload.id, { RestartPolicy: { Name: 'no' } });
}

/** Gives it back its restart policy; nothing happens where it is gone. */
export async function restoreRestart(docker: Docker, containerId: string, policy: RestartPolicy): Promise<void> {
  await docker.update(containerId, { RestartPolicy: policy }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

function restartPolicyOf(workload: WorkloadFacts): RestartPolicy {
  return (workload.inspect as ContainerInspect).HostConfig.RestartPolicy ?? { Name: 'no' };
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

function logsOf(m: SourceMigration, { workload, source }: Facts): Logs | undefined {
  const file = logFileOf(workload.inspect as ContainerInspect, source.docker?.dataRoot ?? '/var/lib/docker');
  if (file === undefined) return undefined;
  const { path, format } = file;
  const open = () => m.channel('logs', {});
  return { path, sync: new LogSync({ logPath: path, format, open, signal: m.signal }) };
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

async function finalPasses(m: SourceMigration, { facts, trees, logs }: Prepared, dumped: Promise<void>): Promise<void> {
  const pids = facts.workload.processes.map((process) => process.pid);
  const mapped = sharedWritableMappings(pids, facts.workload.files);
  await Promise.all(
    trees.map(async ({ key, sync }) => {
      m.bytes += (await sync.finalPass({ alwaysPaths: mapped.get(key) ?? [] })).bytes;
      await sync[Symbol.asyncDispose](); // Lets go of a prepared transfer that was not needed.
    }),
  );
  // By the end of the dump the engine has drained the pipe and written the last lines.
  await dumped;
  if (logs === undefined) return;
  await settle(logs.path);
  const { bytes, lost } = await logs.sync.finalPass();
  await logs.sync[Symbol.asyncDispose]();
  m.bytes += bytes;
  if (lost > 0) m.emit({ type: 'note', message: `${lost} bytes of the log found no room on the target` });
}

async function checkpointTo(
  m: SourceMigration,
  workload: WorkloadFacts,
  stage: string,
  imagesDir: string,
): Promise<void> {
  const criuConfig = join(stage, 'criu.conf');
  try {
    await checkpoint({
      run: m.run,
      root: workload.runtimeRoot,
      containerId: workload.id,
      imagesDir,
      workDir: join(stage, 'work'),
      criuConfig,
    });
  } catch (error) {
    await endStragglers(criuConfig);
    const log = await readFile(join(stage, 'work/dump.log'), 'utf8').catch(() => '');
    throw explainFailure('DUMP_FAILED', 'CRIU could not dump the workload', log, error as Error);
  }
}

/**
 * Waits for CRIU processes which outlived a runc that was killed, and ends them after a while. CRIU lets the tasks go
 * when its peer is gone; thawing them before that would run them under its hands.
 */
export async function endStragglers(criuConfig: string): Promise<void> {
  const deadline = performance.now() + STRAGGLER_PATIENCE_MS;
  for (;;) {
    const pids = await processesWithEnvironment(`CRIU_CONFIG_FILE=${criuConfig}`);
    if (pids.length === 0) return;
    if (performance.now() > deadline) for (const pid of pids) process.kill(pid, 'SIGKILL');
    await sleep(20);
  }
}

async function processesWithEnvironment(setting: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environment.split('\0').includes(setting);
    }),
  );
  return pids.filter((_, index) => found[index]);
}
