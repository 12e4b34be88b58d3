/** What has changed between two looks at a tree: pure. */
import { type BytePath, joinBytes } from './byte-path.ts';
import { type Directory, FIELDS, isDirectoryMode, type Manifest, namesOf, WIDTH } from './manifest.ts';

export interface TreeDiff {
  /** New, changed or possibly changed; the root is the empty path. Parents before what is in them. */
  changed: BytePath[];
  /** The directories among `changed`: only in these can names have come or gone. */
  directories: BytePath[];
  /** Of these, the ones that were not there before, or were others by the same name. */
  fresh: BytePath[];
  /** Topmost only: what was below them is gone, too. */
  deleted: BytePath[];
}

/** A timestamp is the kernel's tick, 1 to 10 ms; whole seconds come from a file system that keeps no more. */
const TICK_MS = 20;
const COARSE_TICK_MS = 2000;

/**
 * Whatever changed within a tick of the first look, or after it, counts as changed, as git treats its "racily clean"
 * entries: a second change in the same tick would not show. A directory that was replaced by another counts with all
 * that is in it.
 */
export function diffManifests(before: Manifest, after: Manifest): TreeDiff {
  const diff: TreeDiff = { changed: [], directories: [], fresh: [], deleted: [] };
  const isChanged = comparison(before.takenAtMs);
  const isDirectory = isDirectoryMode(after.root[FIELDS.mode]);
  if (isChanged(before.root, 0, after.root, 0)) {
    diff.changed.push('');
    if (isDirectory) diff.directories.push('');
  }
  /** Directories that were not there before under this name. */
  const fresh = new Set<BytePath>();
  if (isDirectory && !isDirectoryMode(before.root[FIELDS.mode])) fresh.add('');
  for (const [path, now] of after.directories) {
    const then = fresh.has(path) ? undefined : before.directories.get(path);
    compareDirectory(path, then, now, isChanged, diff, fresh);
    if (fresh.has(path)) listDeleted(path, before.directories.get(path), now, diff);
  }
  diff.fresh.push(...fresh);
  return diff;
}

type Comparison = (then: Float64Array, i: number, now: Float64Array, j: number) => boolean;

function comparison(takenAtMs: number): Comparison {
  return (then, i, now, j) => {
    for (let field = 0; field < WIDTH; field++) if (then[i + field] !== now[j + field]) return true;
    const ctimeMs = now[j + FIELDS.ctimeMs] as number;
    return ctimeMs >= takenAtMs - (ctimeMs % 1000 === 0 ? COARSE_TICK_MS : TICK_MS);
  };
}

function compareDirectory(
  path: BytePath,
  then: Directory | undefined,
  now: Directory,
  isChanged: Comparison,
  diff: TreeDiff,
  fresh: Set<BytePath>,
): void {
  const sameNames = then?.names === now.names;
  let names: BytePath[] | undefined;
  const places = sameNames ? undefined : placesOf(then);
  for (let j = 0, index = 0; j < now.stats.length; j += WIDTH, index++) {
    if (sameNames && !isChanged(then.stats, j, now.stats, j)) continue;
    names ??= namesOf(now);
    const name = names[index] as BytePath;
    const i = sameNames ? j : places?.get(name);
    if (i !== undefined && then !== undefined && !isChanged(then.stats, i, now.stats, j)) continue;
    const child = joinBytes(path, name);
    diff.changed.push(child);
    if (!isDirectoryMode(now.stats[j + FIELDS.mode])) continue;
    diff.directories.push(child);
    if (i === undefined || then?.stats[i + FIELDS.ino] !== now.stats[j + FIELDS.ino]) fresh.add(child);
  }
  if (then !== undefined && !sameNames) listDeleted(path, then, now, diff);
}

function listDeleted(path: BytePath, then: Directory | undefined, now: Directory, diff: TreeDiff): void {
  if (then === undefined) return;
  const left = new Set(namesOf(now));
  for (const name of namesOf(then)) if (!left.has(name)) diff.deleted.push(joinBytes(path, name));
}

function placesOf(directory: Directory | undefined): Map<BytePath, number> {
  return new Map(namesOf(directory).map((name, index) => [name, index * WIDTH]));
}
