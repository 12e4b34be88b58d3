/** A file system as a list of what counts in it, made from the tar stream of `docker export`. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { extract, type Header } from 'tar-stream';

export interface Entry {
  type: string;
  /** Permissions with set-uid, set-gid and sticky bit. */
  mode: number;
  uid: number;
  gid: number;
  /** SHA-256 of a file's content, where a link leads, or a device's numbers. */
  content: string;
}

/** By path from the root. */
export type Manifest = Map<string, Entry>;

/** Each entry as it comes, one file at a time. */
export async function* entriesOf(tar: Readable): AsyncGenerator<[path: string, entry: Entry]> {
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.on('close', () => {
    if (!tar.readableEnded) entries.destroy(new Error('The file system was cut off.'));
  });
  tar.pipe(entries);
  const files = new Map<string, Entry>();
  for await (const stream of entries) {
    const { header } = stream;
    const path = pathOf(header.name);
    if (header.type === 'link') {
      stream.resume();
      const same = files.get(pathOf(header.linkname ?? ''));
      if (same !== undefined) yield [path, same];
      continue;
    }
    const hash = createHash('sha256');
    for await (const chunk of stream) hash.update(chunk as Buffer);
    const entry = entryOf(header, () => hash.digest('base64url'));
    if (header.type === 'file') files.set(path, entry);
    yield [path, entry];
  }
}

/** `./etc/passwd` and `etc/` as paths from the root. */
export function pathOf(name: string): string {
  return `/${name.replace(/^\.?\/+/, '').replace(/\/+$/, '')}`;
}

function entryOf(header: Header, digest: () => string): Entry {
  const { type, mode = 0, uid = 0, gid = 0, linkname, devmajor, devminor } = header;
  const content =
    type === 'file'
      ? digest()
      : type === 'symlink'
        ? (linkname ?? '')
        : /device/.test(type ?? '')
          ? `${devmajor}:${devminor}`
          : '';
  // A symbolic link has no permissions of its own.
  return { type: type ?? 'file', mode: type === 'symlink' ? 0o777 : mode & 0o7777, uid, gid, content };
}
