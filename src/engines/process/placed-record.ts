/** What was put in place on the target out of a staging directory, written down in there beforehand. */
import { lstatSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Of the staging directory: the files, under their own paths. */
export const TREE = 'tree';
const RECORD = 'placed.jsonl';

/** One line of the record; later ones of the same path only add inodes to the first. */
export interface Placed {
  path: string;
  what: 'directory' | 'file';
  /** Where something was there before: what that is kept as until the end, beside the path. */
  kept?: string;
  /** What is to take the place is made under this name, beside the path. */
  draft?: string;
  /** Of what was put there; what is staged now is ours as well, being put in place by a hard link. */
  inodes: string[];
  /** What was staged when it had to be copied, to another file system. */
  copyOf?: string;
}

/** In the order in which they were first written down. */
export async function placedSoFar(stage: string): Promise<Map<string, Placed>> {
  const text = await readFile(join(stage, RECORD), 'utf8').catch(() => '');
  const all = new Map<string, Placed>();
  // A last line that a crash has torn stands for a step that was not begun.
  for (const line of text.split('\n').slice(0, -1)) {
    const placed = JSON.parse(line) as Placed;
    const { copyOf } = placed;
    const first = all.get(placed.path) ?? placed;
    all.set(placed.path, { ...first, inodes: [...first.inodes, ...placed.inodes], ...(copyOf && { copyOf }) });
  }
  return all;
}

/** On disk when it resolves. */
export async function writeDown(stage: string, placed: readonly Placed[]): Promise<void> {
  if (placed.length === 0) return;
  await using file = await open(join(stage, RECORD), 'a', 0o600);
  await file.appendFile(placed.map((one) => `${JSON.stringify(one)}\n`).join(''));
  await file.datasync();
}

/** Of what has this path, a link itself. */
export function inodeOf(path: string | Buffer): string | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}

/** Of a staged file: whoever brings it up to date changes its ctime. */
export function versionOf(path: string): string {
  const { dev, ino, ctimeNs } = lstatSync(path, { bigint: true });
  return `${dev}:${ino}:${ctimeNs}`;
}
