/** Files as they are in a container, by Docker's archives. */
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { Change } from '../tools/docker-types.ts';
import type { Step } from './dockerfile/steps.ts';
import type { Captured, ContextFile } from './dockerfile/write.ts';

/** Bytes of an edited file, and of all of them: they come in one message, and more is no work of an editor. */
const MAX_EDITED = 2 << 20;
const MAX_TOGETHER = 8 << 20;
/** As many symbolic links does the kernel follow (path_resolution(7)). */
const MAX_LINKS = 40;

export interface CapturedFiles {
  /** An edited path that is a symbolic link has become that of its file. */
  steps: Step[];
  captured: Map<string, Captured>;
}

/** The edited files as they are now. @param changes of the whole container */
export async function captureEdited(
  docker: Docker,
  id: string,
  typed: readonly Step[],
  changes: readonly Change[],
  signal: AbortSignal | undefined,
): Promise<CapturedFiles> {
  // A directory on the way may be a link: then the change has another path, and only the file's name is the same.
  const changed = new Set(changes.map(({ Path }) => posix.basename(Path)));
  const captured = new Map<string, Captured>();
  const steps: Step[] = [];
  let bytes = 0;
  for (const step of typed) {
    if (step.type !== 'edited') {
      steps.push(step);
      continue;
    }
    const { path, file } = await followed(docker, id, step.path, signal);
    steps.push({ ...step, path });
    if (captured.has(path)) continue;
    if (!changed.has(posix.basename(path))) captured.set(path, file === 'absent' ? file : 'unchanged');
    else if (typeof file === 'string') captured.set(path, file);
    else {
      bytes += file.content.length;
      captured.set(path, bytes > MAX_TOGETHER ? 'large' : file);
    }
  }
  return { steps, captured };
}

/** A small file of a container; undefined where there is none. */
export async function smallFile(
  docker: Docker,
  id: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<ContextFile | undefined> {
  const { file } = await followed(docker, id, path, signal);
  return typeof file === 'string' ? undefined : file;
}

async function followed(
  docker: Docker,
  id: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<{ path: string; file: ContextFile | 'absent' | 'large' }> {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const found = await entryOf(docker, id, at, signal);
    if (typeof found === 'string' || !('link' in found)) return { path: at, file: found };
    at = posix.resolve(posix.dirname(at), found.link);
  }
  return { path, file: 'absent' };
}

async function entryOf(
  docker: Docker,
  id: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<ContextFile | { link: string } | 'absent' | 'large'> {
  let tar: Readable;
  try {
    tar = await docker.archive(id, path, { signal });
  } catch (error) {
    if (isNotFound(error)) return 'absent';
    throw error;
  }
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  try {
    for await (const entry of entries) {
      const { type, size = 0, mode = 0o644, uid = 0, gid = 0, linkname } = entry.header;
      // Only the first counts: of a directory the others are what is in it.
      if (type === 'symlink' && linkname) return { link: linkname };
      if (type !== 'file') return 'absent';
      if (size > MAX_EDITED) return 'large';
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      return { content: Buffer.concat(chunks), mode: mode & 0o7777, uid, gid };
    }
    return 'absent';
  } finally {
    tar.destroy();
  }
}
