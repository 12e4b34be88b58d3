/**
 * The way of an import: what a migration did to its target, repeated out of an archive.
 *
 *   survey ─ preflight ─ prepare: every stream, checked, put in its place ─ restore ─ COMMIT ─ release
 *                        └──────────────────────── undo ────────────────────────┘
 *
 * No source is frozen meanwhile, and none is there to go on: what is undone leaves the archive as it was.
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Entry, ReadOptions } from '../../archive/reader.ts';
import { type HostFacts, isTree } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import { written } from '../../files/written.ts';
import type { MigrationResult, Phase } from '../events.ts';
import { surveyTarget } from '../facts.ts';
import { parentsThere } from '../plan.ts';
import type { SourceMigration } from '../source-migration.ts';
import { checkImport } from './import-findings.ts';
import { DOCUMENTS, type Manifest, type StreamHead, startSchema, streamSchema } from './manifest.ts';
import { ofImport } from './recover-import.ts';

export interface ArchiveSource {
  manifest: Manifest;
  /** All of it from its start. */
  read(options: ReadOptions): AsyncIterable<Entry>;
  /** Told why it cannot go on; resolves when it is to be tried again. */
  room(error: DrayageError): Promise<void>;
}

export async function replay(m: SourceMigration, archive: ArchiveSource): Promise<MigrationResult> {
  const { manifest } = archive;
  let began = false;
  try {
    const host = await m.phase('survey', () => surveyTarget(manifest.workload, m.target));
    await m.phase('preflight', async () => assertImportable(m, manifest, host));
    const { workload, options } = manifest;
    await m.target.open({
      ...{ id: m.id, workload, archive: manifest.id },
      options: { ...options, dropConnections: true },
      parents: isTree(workload) ? {} : parentsThere({ workload, source: manifest.host, target: host }),
    });
    began = true;
    const descriptors = await m.phase('prepare', () => unpack(m, archive));
    m.checkpoint();
    await m.phase('restore', async () => {
      await m.target.begin(m.id, { descriptors });
      await m.target.restore(m.id);
    });
    m.checkpoint();
    const answer = await m.phase('commit', () => m.target.commit(m.id));
    if (answer.outcome === 'aborted')
      throw new DrayageError('COMMIT_REFUSED', `The copy could not be brought to run: ${answer.reason}.`);
  } catch (error) {
    return undone(m, began, error);
  }
  const { notes } = await m.phase('release', () => m.target.release(m.id));
  for (const message of notes) m.emit({ type: 'note', message });
  return ending(m, 'committed');
}

/** Puts every stream in its place, again from the start of those that had no room. @returns for the start of the copy */
async function unpack(m: SourceMigration, archive: ArchiveSource): Promise<string[]> {
  const done = new Set<string>();
  let created: Promise<void> | undefined;
  let isCreateFailed = false;
  const create = (): Promise<void> => {
    created ??= createCopy(m).catch((error: unknown) => {
      isCreateFailed = true;
      throw error;
    });
    return created;
  };
  for (;;) {
    try {
      const descriptors = await pour(m, archive, done, create);
      await create();
      return descriptors;
    } catch (error) {
      m.checkpoint();
      // What is half made cannot be gone on with.
      const reason = isCreateFailed ? undefined : noRoom(error);
      if (reason === undefined) throw error;
      await archive.room(reason);
      m.checkpoint();
    }
  }
}

async function createCopy(m: SourceMigration): Promise<void> {
  const { notes } = await m.trace.step('create copy', () => m.target.create(m.id));
  for (const message of notes) m.emit({ type: 'note', message });
}

async function pour(
  m: SourceMigration,
  archive: ArchiveSource,
  done: Set<string>,
  create: () => Promise<void>,
): Promise<string[]> {
  const heads = new Map<string, StreamHead>();
  const open = new Map<string, Duplex>();
  const progress = m.progress('prepare', 'archive');
  let descriptors: string[] | undefined;
  m.bytes = 0;
  // An undo does not wait for an engine or a tar that takes its time over what it has.
  const end = (): void => {
    for (const stream of open.values()) stream.destroy(m.cancelled);
  };
  m.signal.addEventListener('abort', end);
  try {
    for await (const entry of archive.read({ wants: (stream) => !done.has(stream) })) {
      m.checkpoint();
      if (entry.kind === 'document') {
        const stream = /^(\d+-[a-z]+)\.json$/.exec(entry.name)?.[1];
        if (stream !== undefined) heads.set(stream, streamSchema.parse(entry.value));
        if (entry.name === DOCUMENTS.start) ({ descriptors } = startSchema.parse(entry.value));
        continue;
      }
      m.bytes += entry.stored;
      progress(m.bytes);
      if (entry.bytes !== undefined) await put(m, entry, { heads, open, done, create });
    }
  } finally {
    m.signal.removeEventListener('abort', end);
    for (const stream of open.values()) stream.destroy();
  }
  if (descriptors === undefined)
    throw new DrayageError('ARCHIVE_DAMAGED', 'The archive does not tell how to start it.');
  return descriptors;
}

interface Streams {
  heads: ReadonlyMap<string, StreamHead>;
  open: Map<string, Duplex>;
  done: Set<string>;
  create: () => Promise<void>;
}

async function put(
  m: SourceMigration,
  { stream: name, bytes, last }: Entry & { kind: 'chunk' },
  { heads, open, done, create }: Streams,
): Promise<void> {
  const head = heads.get(name);
  if (head === undefined) throw new DrayageError('ARCHIVE_DAMAGED', `The archive does not tell what ${name} is.`);
  let stream = open.get(name);
  if (stream === undefined) {
    if (head.purpose !== 'image') await create();
    stream = await m.channel(head.purpose, head.meta);
    stream.on('error', () => {}); // The next write tells.
    open.set(name, stream);
    m.checkpoint();
  }
  await written(stream, bytes ?? Buffer.alloc(0));
  if (!last) return;
  stream.end();
  stream.resume(); // What the target answers is for those who could do something about it.
  await finished(stream);
  open.delete(name);
  done.add(name);
}

/** Why there was no room; undefined where that was not what went wrong. */
function noRoom(error: unknown): DrayageError | undefined {
  const { code, message } = DrayageError.from(error);
  const isFull = code === 'FILES_NO_SPACE' || /no space left on device|disk quota exceeded/i.test(message);
  return isFull ? new DrayageError('ARCHIVE_NO_ROOM', message, { cause: error }) : undefined;
}

function assertImportable(m: SourceMigration, manifest: Manifest, host: HostFacts): void {
  const findings = checkImport(manifest, host, []); // What is to be agreed to was.
  m.emit({ type: 'findings', findings });
  const [first] = findings.filter(({ severity }) => severity === 'blocks');
  if (first === undefined) return;
  throw new DrayageError('MIGRATION_BLOCKED', first.message, { meaning: first.meaning, remedy: first.remedy });
}

async function undone(m: SourceMigration, began: boolean, cause: unknown): Promise<MigrationResult> {
  const error = ofImport(m.cancelled ?? DrayageError.from(cause));
  if (began) {
    await m.phase('undo', () =>
      m.target.abort(m.id, error.message).catch((failure: unknown) => {
        m.emit({ type: 'note', message: `undo of the copy: ${DrayageError.from(failure).message}` });
      }),
    );
  }
  return { ...ending(m, 'undone'), error: error.toJSON() };
}

function ending(m: SourceMigration, outcome: 'committed' | 'undone'): MigrationResult {
  const names = [...new Set(m.trace.spans.filter(({ kind }) => kind === 'phase').map(({ name }) => name as Phase))];
  return {
    ...{ type: 'result', id: m.id, outcome, outageMs: null, bytes: m.bytes },
    totalMs: Math.round(m.trace.now()),
    phases: names.map((name) => ({ name, ms: Math.round(m.trace.phaseMs(name) * 10) / 10 })),
  };
}
