/**
 * Carried files come into a staging directory first, under their own paths; from there they are put in place, and each
 * step is written down before it is done, so that it can be taken back after a crash, too.
 */
import { existsSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DrayageError } from '../../errors.ts';
import type { Run } from '../../exec/run.ts';
import { compareContent } from './compare-files.ts';
import { stillLeft } from './left-files.ts';

/** Of the staging directory. */
export const TREE = 'tree';
const REPLACED = 'replaced';
const RECORD = 'placed.jsonl';

export interface PlaceOptions {
  /** The staging directory. */
  stage: string;
  run: Run;
  /** Whether files that differ may be replaced; those that the processes left here themselves always are. */
  mayReplace: boolean;
  /** Which of the staged files are to be put in place now. */
  wanted: (path: string) => boolean;
  signal: AbortSignal;
}

interface Placed {
  path: string;
  what: 'directory' | 'file';
  /** Something was there before, and is kept under that name until the end. */
  replaced?: string;
}

/**
 * @throws DrayageError FILE_DIFFERS where another file is in the way, before anything of this call is done
 */
export async function placeFiles({ stage, run, mayReplace, wanted, signal }: PlaceOptions): Promise<void> {
  const before = new Set((await placedSoFar(stage)).map(({ path }) => path));
  const steps: Placed[] = [];
  const staged = (await stagedFiles(join(stage, TREE), '')).filter(wanted);
  const left = await stillLeft(staged);
  for (const path of staged) {
    const found = await lstat(path).catch(() => undefined);
    for (const directory of found === undefined ? missingParents(path, steps) : [])
      steps.push({ path: directory, what: 'directory' });
    const isDirectory = (await lstat(join(stage, TREE, path))).isDirectory();
    if (found === undefined || (before.has(path) && !isDirectory)) {
      steps.push({ path, what: isDirectory ? 'directory' : 'file' });
      continue;
    }
    if (isDirectory || (await compareContent(join(stage, TREE, path), path, signal))) continue;
    if (!mayReplace && !left.has(path)) throw new DrayageError('FILE_DIFFERS', `The target has another ${path}.`);
    steps.push({ path, what: 'file', replaced: join(stage, REPLACED, path) });
  }
  await writeDown(stage, steps);
  for (const step of steps) await place(stage, step, run);
}

/** Takes back what was put in place, the newest first. May be repeated. */
export async function takeBackFiles(stage: string, run: Run): Promise<void> {
  for (const { path, what, replaced } of (await placedSoFar(stage)).reverse()) {
    if (what === 'directory')
      await rmdir(path).catch(() => {}); // Somebody else's file may be in it by now.
    else if (replaced === undefined) await rm(path, { force: true });
    else if (existsSync(replaced)) await move(run, replaced, path);
  }
  await rm(stage, { recursive: true, force: true });
}

async function place(stage: string, { path, what, replaced }: Placed, run: Run): Promise<void> {
  const staged = join(stage, TREE, path);
  if (what === 'directory') {
    const { mode, uid, gid } = await stat(staged);
    await mkdir(path, { recursive: true });
    await chown(path, uid, gid);
    await chmod(path, mode & 0o7777);
    return;
  }
  if (replaced !== undefined) {
    await mkdir(dirname(replaced), { recursive: true, mode: 0o700 });
    await move(run, path, replaced);
  }
  await move(run, staged, path);
}

/** Whole or not at all, also from one file system to another. */
async function move(run: Run, from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const draft = `${to}.drayage-new`;
    await run('cp', ['--archive', '--no-target-directory', '--', from, draft]);
    await rename(draft, to);
    await rm(from, { force: true });
  }
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
function missingParents(path: string, planned: readonly Placed[]): string[] {
  const missing: string[] = [];
  for (let at = dirname(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  return missing.filter((directory) => !planned.some((one) => one.path === directory));
}

async function placedSoFar(stage: string): Promise<Placed[]> {
  const text = await readFile(join(stage, RECORD), 'utf8').catch(() => '');
  // A last line that a crash has torn stands for a step that was not begun.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Placed);
}

async function writeDown(stage: string, steps: readonly Placed[]): Promise<void> {
  if (steps.length === 0) return;
  await using file = await open(join(stage, RECORD), 'a', 0o600);
  await file.appendFile(steps.map((step) => `${JSON.stringify(step)}\n`).join(''));
  await file.datasync();
}
