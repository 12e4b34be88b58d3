/** The files of one log: Docker keeps `X-json.log`, and, with `max-file`, `X-json.log.1`, `.2` …, each perhaps `.gz`. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DrayageError } from '../../errors.ts';

const CHUNK = 256 << 10;

/**
 * The log's files, the oldest first. Where a rotated file is there both plain and compressed, the engine was
 * compressing it: the plain one is whole.
 * @throws DrayageError REPLAY_NO_LOG where there is no such file
 */
export async function logFiles(path: string): Promise<string[]> {
  const name = basename(path);
  const names: string[] = await readdir(dirname(path)).catch(() => []);
  const rotated = new Map<number, string>();
  for (const other of names.sort()) {
    const number = other.startsWith(`${name}.`) ? /^(\d+)(\.gz)?$/.exec(other.slice(name.length + 1)) : null;
    if (number !== null && !rotated.has(Number(number[1]))) rotated.set(Number(number[1]), other);
  }
  const older = [...rotated].sort(([a], [b]) => b - a).map(([, file]) => file);
  const all = [...older, ...(names.includes(name) ? [name] : [])];
  if (all.length === 0) throw new DrayageError('REPLAY_NO_LOG', `There is no file ${path}.`);
  return all.map((file) => join(dirname(path), file));
}

/** The bytes of a log file, unpacked where it is compressed. @throws DrayageError REPLAY_NO_LOG */
export async function* readLogFile(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: CHUNK, ...(signal && { signal }) });
  let stream: Readable = file;
  if (path.endsWith('.gz')) {
    const unpacked = createGunzip({ chunkSize: CHUNK });
    file.on('error', (error) => unpacked.destroy(error));
    stream = file.pipe(unpacked);
  }
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    signal?.throwIfAborted();
    throw new DrayageError('REPLAY_NO_LOG', `${path} cannot be read (${(error as Error).message}).`, { cause: error });
  } finally {
    file.destroy();
    stream.destroy();
  }
}
