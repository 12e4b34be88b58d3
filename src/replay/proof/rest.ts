/** What the Dockerfile does not explain, as a last layer: exactly the paths that differ. */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Pack, pack } from 'tar-stream';
import { secretsIn } from '../dockerfile/secrets.ts';
import type { Difference } from './compare.ts';
import { pathOf } from './manifest.ts';

export const REST = 'rest.tar';
const MAX_SEARCHED = 1 << 20;

/** Whether the container has anything that the image lacks, or has otherwise. */
export function hasRest(differences: readonly Difference[]): boolean {
  return differences.some(({ isExtra }) => !isExtra);
}

/**
 * Writes the differing paths of an exported file system to an archive, with their modes, owners and times.
 * @returns those of them in which there is a secret
 */
export async function writeRest(
  exported: Readable,
  differences: readonly Difference[],
  out: Writable,
): Promise<string[]> {
  const wanted = new Set(differences.filter(({ isExtra }) => !isExtra).map(({ path }) => path));
  const archive = pack();
  const secret: string[] = [];
  const copied = copyWanted(exported, wanted, archive, secret).catch((error: Error) => archive.destroy(error));
  await pipeline(archive, out);
  await copied;
  return secret;
}

/** Paths in one command: their length has a limit. */
const REMOVED_AT_ONCE = 200;

/**
 * The lines that end a Dockerfile so that its image has the rest, and not what the container has not.
 * @param user of the image so far
 */
export function restLines(differences: readonly Difference[], user: string): string[] {
  const extra = new Set(differences.filter(({ isExtra }) => isExtra).map(({ path }) => path));
  // A directory's content goes with it.
  const removed = [...extra].filter((path) => !parentsOf(path).some((parent) => extra.has(parent)));
  const lines: string[] = [];
  for (let at = 0; at < removed.length; at += REMOVED_AT_ONCE) {
    // In the form of JSON no shell looks at the names.
    lines.push(`RUN ${JSON.stringify(['rm', '-rf', ...removed.slice(at, at + REMOVED_AT_ONCE)])}`);
  }
  if (lines.length > 0 && user !== 'root') lines.splice(0, lines.length, 'USER root', ...lines, `USER ${user}`);
  if (hasRest(differences)) lines.push(`ADD ${REST} /`);
  return ['# what no command explains', ...lines];
}

function parentsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(2).map((_, i) => parts.slice(0, i + 2).join('/'));
}

async function copyWanted(
  exported: Readable,
  wanted: ReadonlySet<string>,
  archive: Pack,
  secret: string[],
): Promise<void> {
  const entries = extract();
  exported.on('error', (error) => entries.destroy(error));
  exported.pipe(entries);
  for await (const entry of entries) {
    const { header } = entry;
    if (!wanted.has(pathOf(header.name))) {
      entry.resume();
      continue;
    }
    // What a hard link leads to is in the image, or came before it.
    if (header.type !== 'file') {
      entry.resume();
      archive.entry(header);
      continue;
    }
    const copy = archive.entry(header);
    copy.on('error', () => {}); // What breaks it has broken the archive, which tells.
    let isSecret = false;
    for await (const chunk of entry) {
      // A file that holds one is mostly small; one at the border of two chunks may go unnoticed.
      isSecret ||= (header.size ?? 0) <= MAX_SEARCHED && secretsIn((chunk as Buffer).toString('utf8')).length > 0;
      if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), once(copy, 'close')]);
    }
    if (isSecret) secret.push(pathOf(header.name));
    copy.end(null);
  }
  archive.finalize();
}
