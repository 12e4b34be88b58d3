/**
 * Carried files come into a staging directory first, under their own paths, and stay there until the migration is over.
 * To be put in place, each gets a draft beside its destination, a hard link where that can be; when all drafts are there,
 * each takes its place by one system call. No program is started in between: its libraries may be among the files.
 */
import { randomUUID } from 'node:crypto';
import { constants, linkSync, lstatSync, readFileSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DrayageError } from '../../errors.ts';
import type { Run } from '../../exec/run.ts';
import { MOST_BYTES, overwrite } from '../../files/short-files.ts';
import { compareContent } from './compare-files.ts';
import { stillLeft } from './left-files.ts';
import { atPlace, nameOf, openParent } from './open-parent.ts';
import { inodeOf, type Placed, placedSoFar, TREE, versionOf, writeDown } from './placed-record.ts';
import { takeBack } from './take-back-files.ts';

export interface PlaceOptions {
  /** The staging directory. */
  stage: string;
  run: Run;
  /** Whether files that differ may be replaced; those that the processes left here themselves always are. */
  mayReplace: boolean;
  signal: AbortSignal;
}

interface Step {
  placed: Placed & { draft: string };
  /** Nothing was there. */
  isNew: boolean;
  isKnown: boolean;
}

interface Stale {
  from: string;
  path: string;
  /** Of what is there. */
  inode: string;
  /** The staged file is the one that it was copied from, written to since. */
  isRewritten: boolean;
}

/**
 * To be called again when files have been staged anew, in the freeze: brings those up to date, and takes back what is not
 * staged any more. What is there already needs no new record, which can take a disk more than 100 ms.
 * @throws DrayageError FILE_DIFFERS where another file is in the way, before anything of this call is done, or where
 * one has appeared meanwhile
 */
export async function placeFiles({ stage, run, mayReplace, signal }: PlaceOptions): Promise<void> {
  const tree = join(stage, TREE);
  const before = await placedSoFar(stage);
  const paths = await stagedFiles(tree, '');
  const left = await stillLeft(paths);
  const directories = new Set<string>();
  const steps: Step[] = [];
  const stale: Stale[] = [];
  for (const path of paths) {
    for (const missing of missingParents(path)) directories.add(missing);
    const from = join(tree, path);
    const found = atPlace(path, inodeOf);
    if (lstatSync(from).isDirectory()) {
      if (found === undefined) directories.add(path);
      continue;
    }
    const known = before.get(path);
    const staged = `${inodeOf(from)}`;
    const isOurs = found === staged || (found !== undefined && known?.inodes.includes(found) === true);
    if (isOurs && (found === staged || known?.copyOf === versionOf(from))) continue;
    if (isOurs && found !== undefined && isPlainCopy(known) && lstatSync(from).isFile()) {
      stale.push({ from, path, inode: found, isRewritten: known.copyOf.startsWith(`${staged}:`) });
      continue;
    }
    const isOther = found !== undefined && !isOurs;
    if (isOther && (known !== undefined || !(mayReplace || left.has(path)) || isDirectory(path))) {
      if (await compareContent(from, path, signal)) continue;
      throw differs(path);
    }
    const names = { draft: known?.draft ?? beside(path), ...(isOther && { kept: beside(path) }) };
    const placed: Step['placed'] = { path, what: 'file', ...names, inodes: [staged] };
    steps.push({ placed, isNew: found === undefined, isKnown: known !== undefined });
  }
  await writeDown(stage, [
    ...[...directories].map((path) => ({ path, what: 'directory' as const, inodes: [] })),
    ...steps.flatMap(({ placed, isKnown }) => (isKnown ? [] : [placed])),
  ]);
  for (const path of directories) makeDirectory(path, join(tree, path));
  const copies: Placed[] = [];
  for (const { placed } of steps) copies.push(...(await makeDraft(join(tree, placed.path), placed, run)));
  await writeDown(stage, copies);
  for (const one of stale) await copyAgain(one, run);
  for (const step of steps) putInPlace(step);
  for (const placed of before.values())
    if (placed.what === 'file' && inodeOf(join(tree, placed.path)) === undefined) takeBack(stage, placed);
}

/** Absolute paths, as they will be; directories of which only the empty ones are told. */
async function stagedFiles(tree: string, path: string): Promise<string[]> {
  const entries = await readdir(join(tree, path), { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(
    entries.map((entry) => {
      const child = `${path}/${entry.name}`;
      return entry.isDirectory() ? stagedFiles(tree, child) : [child];
    }),
  );
  const found = below.flat();
  return found.length > 0 || path === '' ? found : [path];
}

/** From the highest on. */
function missingParents(path: string): string[] {
  using parent = openParent(path);
  const names = dirname(path).split('/');
  return parent.missing.map((_, index, { length }) => names.slice(0, names.length - length + index + 1).join('/'));
}

function isDirectory(path: string): boolean {
  return atPlace(path, (there) => lstatSync(there).isDirectory()) === true;
}

/** From another file system to where nothing was before: nobody but the processes to come uses it. */
function isPlainCopy(placed: Placed | undefined): placed is Placed & { copyOf: string } {
  return placed?.copyOf !== undefined && placed.kept === undefined;
}

/** Nobody can know it, and have something there already. */
function beside(path: string): string {
  return join(dirname(path), `.drayage-${randomUUID()}`);
}

function makeDirectory(path: string, like: string): void {
  noted(path, () => atPlace(path, (_, directory) => directory.makeDirectory(nameOf(path), statSync(like))));
}

/** @returns what is to be written down where it had to be copied */
async function makeDraft(from: string, { path, draft }: Step['placed'], run: Run): Promise<Placed[]> {
  using parent = openParent(draft);
  if (parent.missing.length > 0) throw differs(path);
  const to = parent.directory.at(nameOf(draft));
  try {
    linkSync(from, to);
    return [];
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error;
  }
  const copyOf = versionOf(from);
  const ours = to.toString().replace('/proc/self/', `/proc/${process.pid}/`);
  await run('cp', ['--archive', '--no-target-directory', '--', from, ours]);
  return [{ path, what: 'file', inodes: [`${inodeOf(to)}`], copyOf }];
}

function putInPlace({ placed: { path, draft, kept }, isNew }: Step): void {
  noted(path, () =>
    atPlace(path, (there, directory) => {
      const from = directory.at(nameOf(draft));
      if (kept !== undefined) linkSync(there, directory.at(nameOf(kept)));
      if (!isNew) return renameSync(from, there);
      linkSync(from, there);
      unlinkSync(from);
    }),
  );
}

/** Into the file that is there, so that its inode stays the one that is written down. */
async function copyAgain({ from, path, inode, isRewritten }: Stale, run: Run): Promise<void> {
  using parent = openParent(path);
  const { O_WRONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  await using file = await open(parent.directory.at(nameOf(path)), O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
  const { dev, ino } = await file.stat({ bigint: true });
  if (`${dev}:${ino}` !== inode) throw differs(path);
  const stats = lstatSync(from);
  if (isRewritten && stats.size <= MOST_BYTES) return overwrite(file.fd, readFileSync(from), stats);
  await run('cp', ['--archive', '--no-target-directory', '--', from, `/proc/${process.pid}/fd/${file.fd}`]);
}

/** What has appeared meanwhile is not overwritten. */
function noted(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw codeOf(error) === 'EEXIST' ? differs(path) : error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function differs(path: string): DrayageError {
  return new DrayageError('FILE_DIFFERS', `The target has another ${path}.`);
}
