/** What every engine's preparations have in common, and what they come to. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyWorkload } from '../engines/facts.ts';
import { isFrozen } from '../engines/freezer.ts';
import { dumpOptions } from '../engines/processes/criu-options.ts';
import { tasksOf } from '../engines/processes/tasks.ts';
import { DrayageError } from '../errors.ts';
import { MemorySync } from '../memory/memory-sync.ts';
import { TouchedMemory } from '../memory/touch.ts';
import type { Checkpoint } from '../tools/checkpoint.ts';
import { placeTar } from '../tools/criu-tar.ts';
import { mountTmpfs, unmountTmpfs } from '../tools/tmpfs.ts';
import type { StoredRelay } from '../traffic/relays.ts';
import type { AddressHandover } from './address-handover.ts';
import type { Facts } from './facts.ts';
import type { Handover } from './handover.ts';
import type { SourceMigration } from './source-migration.ts';
import type { StartedData } from './started.ts';
import type { OpenTarget } from './target-port.ts';
import type { UndoStack } from './undo.ts';

/** What the undo stack calls the target. */
export const TARGET = 'the target';

export interface Prepared {
  facts: Facts;
  started: StartedData;
  /** The copy's id on the target. */
  containerId: string;
  memory: MemorySync;
  checkpoint: Checkpoint;
  /** Undefined where no traffic follows. */
  handover: Handover | undefined;
  /** Undefined where it has none of its own on the LAN. */
  addresses: AddressHandover | undefined;
  /** Of a tree of processes: what becomes of clients of the host's own ports that it listens on. */
  relay?: StoredRelay;
  /** While it stands still: sends the last differences of what is not memory; `dumped` is the dump that goes on beside. */
  sync: (dumped: Promise<void>) => Promise<void>;
}

/** Memory images take the memory itself and some for what CRIU notes of every object. */
const IMAGES_OVERHEAD = { factor: 1.3, bytes: 128 << 20 };
/** Less memory than this is sent in the freeze faster than it is hashed beforehand. */
const PRECOPY_FROM_BYTES = 24 << 20;

/** Writes down what a recovery must know, and begins the migration on the target. */
export async function beginOnTarget(
  m: SourceMigration,
  request: Omit<OpenTarget, 'id'>,
  started: StartedData,
  undo: UndoStack,
): Promise<void> {
  if (isFrozen(started.cgroupPath)) throw frozenByAnother(request.workload);
  await m.journal.append({ type: 'state', state: 'started', data: started });
  undo.push(TARGET, async () => {
    const { spans } = await m.target.abort(m.id, m.cancelled?.message ?? 'the source undid it');
    m.trace.adopt(spans, m.targetOffsetMs);
  });
  await m.target.open({ id: m.id, ...request });
  m.targetOffsetMs = m.trace.now();
}

/** A migration in doubt keeps its workload frozen, also over a restart of the agent: nothing else may thaw it. */
export function frozenByAnother({ ref }: AnyWorkload): DrayageError {
  return new DrayageError('WORKLOAD_BUSY', `${ref.name} is frozen, by another migration that has not come to its end.`);
}

export interface Staged {
  memory: MemorySync;
  touched: TouchedMemory;
}

/** Makes the staging area, and sends the memory for the first time. */
export async function stageMemory(
  m: SourceMigration,
  { memoryBytes, processes, cgroupPath }: AnyWorkload,
  stage: string,
  undo: UndoStack,
): Promise<Staged> {
  const imagesBytes = Math.ceil(memoryBytes * IMAGES_OVERHEAD.factor) + IMAGES_OVERHEAD.bytes;
  undo.push('the staging area', () => unmountTmpfs(m.run, stage));
  await mountTmpfs(m.run, stage, imagesBytes);
  await mkdir(join(stage, 'images'), { mode: 0o700 });
  await mkdir(join(stage, 'work'), { mode: 0o700 });
  await placeTar(join(stage, 'bin'));
  const touched = TouchedMemory.begin(join(stage, 'touched'), memoryBytes);
  undo.push('the touched memory', () => touched.release());
  // Traffic is not held by CRIU's lock: it costs 30 ms, and an iptables run on each side.
  // No connection lives on in an archive, nor one that is made between now and the freeze.
  const dropConnections = m.options.dropConnections || m.target.oneWay === true;
  const options = ['network-lock skip', ...dumpOptions(processes, { dropConnections })];
  await writeFile(join(stage, 'criu.conf'), `${options.join('\n')}\n`, { mode: 0o600 });
  const memory = await MemorySync.open({
    dir: join(stage, 'hashes'),
    // The target holds what was sent beforehand besides what has changed since; a limit reserves nothing.
    open: () => m.channel('memory', { imagesBytes: 2 * imagesBytes }),
    signal: m.signal,
  });
  undo.push('the memory stream', async () => memory[Symbol.dispose]());
  // Where it is stopped for good anyway, nothing is gained by writing down what will have changed.
  const isStopped = m.target.oneWay === true && m.options.leaveRunning !== true;
  if (memoryBytes >= PRECOPY_FROM_BYTES && !isStopped) {
    const progress = m.progress('precopy', 'memory', memoryBytes);
    await m.phase('precopy', async () => memory.precopy(await tasksOf(cgroupPath), progress));
    m.checkpoint();
  }
  return { memory, touched };
}
