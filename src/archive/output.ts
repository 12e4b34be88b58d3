/** Where an archive is written to: a file that appears under its name only when it is whole, or a stream. */
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Duplex, Writable } from 'node:stream';
import { DrayageError } from '../errors.ts';
import { directStream } from './direct-file.ts';

export interface ArchiveOutput {
  readonly stream: Writable;
  /** `stream` has no use for what was written to it once it has called back. */
  readonly keepsNothing?: true;
  /**
   * All has been written to `stream`, and that has ended: on disk, or with whoever reads, when it resolves.
   */
  commit(): Promise<void>;
  /** Nothing of it is left. Does nothing after a commit. */
  discard(): Promise<void>;
  /** Whether somebody may have it though `commit` has not resolved: what was read cannot be taken back. */
  readonly isPublic: boolean;
  /** Resolves, never rejects, where whoever reads has gone. */
  readonly lost: Promise<unknown>;
}

/** The name until it is whole. */
export function partialOf(path: string): string {
  return `${path}.partial`;
}

/** @throws DrayageError ARCHIVE_EXISTS, ARCHIVE_WRITE */
export async function fileOutput(path: string): Promise<ArchiveOutput> {
  if (await isThere(path)) throw new DrayageError('ARCHIVE_EXISTS', `There is a file ${path} already.`);
  const file = await open(partialOf(path), 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw writeError(path, error);
    throw new DrayageError('ARCHIVE_EXISTS', `${partialOf(path)} is there: an archive of that name is being written.`);
  });
  let state: 'open' | 'committed' | 'gone' = 'open';
  const stream = await directStream(file, (error) => writeError(path, error));
  stream.on('error', () => {}); // Whoever writes is told by what it waits for.
  const discard = async (): Promise<void> => {
    if (state !== 'open') return;
    state = 'gone';
    stream.destroy(new DrayageError('CANCELLED', `${path} is not written on.`));
    // Its last write needs the handle.
    if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve));
    await file.close().catch(() => {});
    await rm(partialOf(path), { force: true });
  };
  return {
    stream,
    keepsNothing: true,
    commit: async () => {
      try {
        await file.sync();
        await nameIt(path);
        state = 'committed';
        await file.close().catch(() => {});
        await rm(partialOf(path), { force: true });
        await syncDirectory(dirname(path));
      } catch (error) {
        // Under its name anybody may have taken it, whatever fails afterwards.
        await discard();
        throw error instanceof DrayageError ? error : writeError(path, error);
      }
    },
    discard,
    get isPublic() {
      return state === 'committed';
    },
    lost: new Promise(() => {}),
  };
}

/** What a reader says when it has put all of the archive where it wants it, or when it could not. */
export const READER = { hasIt: 1, lacksIt: 0 } as const;

/** @param reader reads the archive, and says one byte: see READER */
export function streamOutput(reader: Duplex): ArchiveOutput {
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  let answer: number | undefined;
  let isEnded = false;
  const said = (async () => {
    for await (const [byte] of reader.iterator({ destroyOnReturn: false })) return byte as number;
    return undefined;
  })().catch(() => undefined);
  void said.then((byte) => {
    answer = byte;
    if (byte !== READER.hasIt) resolve();
  });
  return {
    stream: new Writable({
      highWaterMark: 1 << 20,
      write: (piece: Buffer, _encoding, done) => void reader.write(piece, (error) => done(error)),
      final: (done) => {
        isEnded = true;
        reader.end(() => done());
      },
      destroy: (error, done) => {
        if (!isEnded) reader.destroy(error ?? new Error('The archive is not written on.'));
        done(error);
      },
    }),
    commit: async () => {
      if ((await said) !== READER.hasIt)
        throw new DrayageError('ARCHIVE_WRITE', 'Whoever read the archive did not say that it is in place.');
    },
    discard: async () => {
      if (answer !== READER.hasIt) reader.destroy();
    },
    get isPublic() {
      return answer !== READER.lacksIt;
    },
    lost,
  };
}

/**
 * Over no other file, also one that came this moment. A link is exclusive; not every file system has them, FAT say.
 * @throws DrayageError ARCHIVE_EXISTS
 */
async function nameIt(path: string): Promise<void> {
  const refused = new DrayageError('ARCHIVE_EXISTS', `There is a file ${path} by now.`);
  try {
    await link(partialOf(path), path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || (await isThere(path))) throw refused;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    await rename(partialOf(path), path);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function writeError(path: string, error: unknown): DrayageError {
  return new DrayageError('ARCHIVE_WRITE', `${path} cannot be written: ${(error as Error).message}.`, { cause: error });
}
