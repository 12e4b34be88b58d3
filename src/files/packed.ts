/** The target's side of a packed tree: see packed-source.ts. */
import { lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { packingOutcome, startUnpacking } from '../tools/tar.ts';
import type { BytePath } from './byte-path.ts';
import { componentsOf, Inside } from './inside.ts';
import { pruneTree } from './target.ts';

const changesSchema = z.object({
  /** Directories that have changed, with all that is in them now: parents before what is in them. */
  listings: z.array(z.object({ path: z.string(), names: z.array(z.string()) })),
  /** What else is in the second tar. */
  paths: z.array(z.string()),
});
export type Changes = z.infer<typeof changesSchema>;

export async function writeChanges(stream: Writable, changes: Changes): Promise<void> {
  stream.end(JSON.stringify(changes));
  await finished(stream, { readable: false });
}

export interface UnpackOptions {
  root: string;
  /** The tree is a single file, `root` its path. */
  isFile?: boolean;
  stream: Readable;
  signal?: AbortSignal;
}

/**
 * Takes away what is not there any more, and what the second tar will put another in place of. After it, no name of that
 * tar leads through a link.
 * @throws DrayageError FILES_UNSAFE_PATH, FILES_TRANSFER
 */
export async function applyChanges({ root, stream, signal }: UnpackOptions): Promise<void> {
  const parsed = changesSchema.safeParse(parse(await buffer(stream)));
  if (!parsed.success) throw new DrayageError('FILES_TRANSFER', 'The list of changed files is none.');
  const { listings, paths } = parsed.data;
  await pruneTree({ root, listings, ...(signal === undefined ? {} : { signal }) });
  const directories = new Set(listings.map(({ path }) => path));
  using top = Inside.open(root);
  for (const path of [...directories, ...paths]) makeRoom(top, path, directories.has(path));
}

/**
 * Unpacks one pass of a tree. The first goes into a tree that is empty, or holds what a pass that was cut short left.
 * @throws DrayageError FILES_TRANSFER, FILES_NO_SPACE
 */
export async function unpackTree(options: UnpackOptions & { pass: 'first' | 'final' }): Promise<void> {
  const { root, isFile = false, pass, stream, signal } = options;
  if (isFile) return unpackFile(options);
  mkdirSync(root, { recursive: true });
  if (pass === 'first') await pruneTree({ root, listings: [{ path: '', names: [] }] });
  await unpackInto(root, stream, signal);
}

async function unpackFile({ root, stream, signal }: UnpackOptions): Promise<void> {
  const directory = mkdtempSync(join(dirname(root), '.drayage-'));
  try {
    await unpackInto(directory, stream, signal);
    using unpacked = Inside.open(directory);
    const [name, ...more] = unpacked.names();
    if (name === undefined || more.length > 0 || unpacked.lstat(name)?.isFile() !== true)
      throw new DrayageError('FILES_TRANSFER', `In place of the file ${root} something else came.`);
    if (lstatSync(root, { throwIfNoEntry: false })?.isDirectory()) rmSync(root, { recursive: true });
    renameSync(join(directory, name), root);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function unpackInto(root: string, stream: Readable, signal: AbortSignal | undefined): Promise<void> {
  const tar = startUnpacking({ root, signal });
  tar.stdout.resume();
  const fed = pipeline(stream, tar.stdin);
  const [{ code, error }, stderr, broken] = await Promise.all([
    tar.exited,
    text(tar.stderr),
    fed.then(
      () => undefined,
      (cause: unknown) => cause,
    ),
  ]);
  signal?.throwIfAborted();
  packingOutcome(root, { code: code === 1 ? 2 : code, error, stderr });
  if (broken !== undefined) throw broken;
}

/** Nothing but directories lead to it, and what is there is of its kind or gone. @throws DrayageError FILES_UNSAFE_PATH */
function makeRoom(top: Inside, path: BytePath, isDirectory: boolean): void {
  const names = componentsOf(path);
  const name = names.pop();
  if (name === undefined) return;
  const opened = new DisposableStack();
  try {
    let here = top;
    for (const step of names) {
      const next = here.child(step);
      if (next === undefined) {
        // What is not there tar makes, and then so is all that is below it.
        if (here.lstat(step) === undefined) return;
        throw new DrayageError('FILES_UNSAFE_PATH', `A path of the archive leads through ${JSON.stringify(step)}.`);
      }
      here = opened.use(next);
    }
    const there = here.lstat(name);
    if (there !== undefined && !(isDirectory && there.isDirectory())) here.remove(name);
  } finally {
    opened.dispose();
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
