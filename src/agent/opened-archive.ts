/** An archive as a file of this host. */
import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { decrypted, type Key } from '../archive/encryption.ts';
import { type ArchiveInput, FileInput, StreamInput } from '../archive/input.ts';
import { MAGIC, MANIFEST } from '../archive/layout.ts';
import { type Entry, type ReadOptions, readArchive } from '../archive/reader.ts';
import { DrayageError } from '../errors.ts';
import { type Manifest, parseManifest } from '../migration/archive/manifest.ts';

const READ_BYTES = 4 << 20;

export interface ArchiveFile {
  path: string;
  key?: Key | undefined;
  /** It came as a stream: the file is the agent's own, and goes when it is not needed any more. */
  spooled?: boolean;
}

/** @throws DrayageError ARCHIVE_READ, ARCHIVE_LOCKED, and those of `readArchive` */
export async function* readFileArchive(
  { path, key }: ArchiveFile,
  options: ReadOptions,
): AsyncGenerator<Entry, void, undefined> {
  try {
    const stats = await stat(path);
    // Not to be waited for: it is read twice.
    if (!stats.isFile() && !stats.isBlockDevice()) throw new DrayageError('ARCHIVE_READ', `${path} is no file.`);
    await using file = await open(path);
    yield* readArchive(await inputOf(file, stats, key), options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw unreadable(path, error);
  }
}

async function inputOf(file: FileHandle, stats: Stats, key: Key | undefined): Promise<ArchiveInput> {
  if (stats.isFile()) {
    const { buffer } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    if (buffer.toString('latin1') === MAGIC) return new FileInput(file, stats.size);
  }
  const stream = file.createReadStream({ highWaterMark: READ_BYTES, autoClose: false });
  return new StreamInput(decrypted(stream as AsyncIterable<Buffer>, key));
}

/** Reads all of it. @returns what it says of itself. @throws DrayageError where it is not whole, or none */
export async function verifyArchive(file: ArchiveFile): Promise<Manifest> {
  let manifest: Manifest | undefined;
  for await (const entry of readFileArchive(file, { wants: () => false })) {
    if (entry.kind === 'document' && entry.name === MANIFEST) manifest = parseManifest(entry.value);
  }
  if (manifest === undefined) throw new DrayageError('ARCHIVE_DAMAGED', 'The archive does not say what it holds.');
  return manifest;
}

/** What tells a file from what it was: for whoever has verified it a moment ago. */
export async function identityOf({ path }: ArchiveFile): Promise<string> {
  const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return [path, dev, ino, size, mtimeMs, ctimeMs].join(' ');
}

function unreadable(path: string, error: unknown): DrayageError {
  return new DrayageError('ARCHIVE_READ', `${path} cannot be read: ${(error as Error).message}.`, { cause: error });
}
