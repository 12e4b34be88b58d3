/** A build context: the Dockerfile and its files, as the tar stream that a builder takes, or as a directory. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { DrayageError } from '../errors.ts';
import type { ContextFile } from './dockerfile/write.ts';
import { REST } from './proof/rest.ts';

export interface BuildContext {
  dockerfile: string;
  context: ReadonlyMap<string, ContextFile>;
  /** Path of an archive that becomes the last layer. */
  rest?: string;
}

/** A stream that fails with what could not be read. */
export function contextArchive({ dockerfile, context, rest }: BuildContext): Pack {
  const archive = pack();
  archive.entry({ name: 'Dockerfile', mode: 0o644 }, dockerfile);
  for (const [name, { content, mode }] of context) archive.entry({ name, mode }, content);
  const end = rest === undefined ? Promise.resolve() : addFile(archive, REST, rest);
  end.then(() => archive.finalize()).catch((error: Error) => archive.destroy(error));
  return archive;
}

/** @throws DrayageError REPLAY_OUTPUT where there is something in the directory already, or it cannot be written */
export async function writeContext(directory: string, { dockerfile, context }: BuildContext): Promise<void> {
  for (const name of context.keys()) {
    // They come from an agent.
    if (relative('/', resolve('/', name)) !== name)
      throw new DrayageError('REPLAY_OUTPUT', `${name} is no name of a file.`);
  }
  const there = await readdir(directory).catch(() => []);
  if (there.length > 0) throw new DrayageError('REPLAY_OUTPUT', `${directory} is not empty.`);
  try {
    await mkdir(directory, { recursive: true });
    for (const [name, { content, mode }] of context) {
      await mkdir(dirname(join(directory, name)), { recursive: true });
      await writeFile(join(directory, name), content);
      await chmod(join(directory, name), mode);
    }
    await writeFile(join(directory, 'Dockerfile'), dockerfile);
  } catch (error) {
    throw new DrayageError('REPLAY_OUTPUT', `${directory} cannot be written (${(error as Error).message}).`, {
      cause: error,
    });
  }
}

/** Equal only for equal contexts. */
export function fingerprint({ dockerfile, context }: Pick<BuildContext, 'dockerfile' | 'context'>): string {
  const files = [...context].map(([name, { content, mode }]) => [name, mode, content.toString('base64')]);
  return createHash('sha256')
    .update(JSON.stringify([dockerfile, files]))
    .digest('hex');
}

async function addFile(archive: Pack, name: string, path: string): Promise<void> {
  const { size } = await stat(path);
  await pipeline(createReadStream(path), archive.entry({ name, size, mode: 0o644 }));
}
