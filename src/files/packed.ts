/** The target's side of a packed tree: see packed-source.ts. */
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { copyDirectoryXattrs } from '../tools/rsync.ts';
import { packingOutcome, readIndex, startPacking, startUnpacking } from '../tools/tar.ts';
import { type BytePath, nameOf, parentOf } from './byte-path.ts';
import { componentsOf, Inside } from './inside.ts';
import { pruneTree } from './target.ts';

const changesSchema = z.object({
  /** Directories that have changed, with all that is in them now: parents before what is in them. */
  listings: z.array(z.object({ path: z.string(), names: z.array(z.string()) })),
  /** What else is in the second tar. */
  paths: z.array(z.string()),
  /** Names of the same fifo or device: tar packs one of each. They are in place already. */
  links: z.array(z.array(z.string()).min(2)).default([]),
});
export type Changes = z.infer<typeof changesSchema>;

/**
 * A directory's listing is not divided, nor are the names of one device. Names of 255 bytes, written as escapes, still
 * make a list that is taken.
 */
const NAMES_PER_LIST = 100_000;
const MAX_LIST_BYTES = 256 << 20;

/** To be applied one after another. */
export function* divided({ listings, paths, links }: Changes): Generator<Changes> {
  let part: Changes = { listings: [], paths: [], links: [] };
  let names = 0;
  for (const one of [...listings, ...paths, ...links]) {
    const more = typeof one === 'string' ? 1 : Array.isArray(one) ? one.length : one.names.length + 1;
    if (names > 0 && names + more > NAMES_PER_LIST) {
      yield part;
      part = { listings: [], paths: [], links: [] };
      names = 0;
    }
    names += more;
    if (typeof one === 'string') part.paths.push(one);
    else if (Array.isArray(one)) part.links.push(one);
    else part.listings.push(one);
  }
  yield part;
}

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
 * Takes away what is not there any more, and what the second tar will put another in place of.
 * @throws DrayageError FILES_UNSAFE_PATH, FILES_TRANSFER
 */
export async function applyChanges({ root, stream, signal }: UnpackOptions): Promise<void> {
  const parsed = changesSchema.safeParse(parse(await buffer(limited(stream))));
  if (!parsed.success) throw new DrayageError('FILES_TRANSFER', 'The list of changed files is none.');
  const { listings, paths, links } = parsed.data;
  await pruneTree({ root, listings, ...(signal === undefined ? {} : { signal }) });
  const directories = new Set(listings.map(({ path }) => path));
  using top = Inside.open(root);
  for (const path of [...directories, ...paths]) makeRoom(top, path, directories.has(path));
  if (links.length > 0) await linkAll(top, root, links, signal);
}

/**
 * Unpacks one pass of a tree. The first goes into a tree that is empty, or holds what a pass that was cut short left. The
 * second never meets a link of the first, which may lead anywhere: it is unpacked apart, and then put in its place.
 * @throws DrayageError FILES_TRANSFER, FILES_NO_SPACE
 */
export async function unpackTree(options: UnpackOptions & { pass: 'first' | 'final' }): Promise<void> {
  const { root, isFile = false, pass, stream, signal } = options;
  if (isFile) return unpackFile(options);
  mkdirSync(root, { recursive: true });
  if (pass === 'final') return unpackFinal(options);
  await pruneTree({ root, listings: [{ path: '', names: [] }] });
  await unpackInto(root, { stream, signal });
}

/** In the tree itself: whatever is beside it may be another file system. */
async function unpackFinal({ root, stream, signal }: UnpackOptions): Promise<void> {
  const apart = mkdtempSync(join(root, '.drayage-'));
  const [tree, index] = [join(apart, 'tree'), join(apart, 'index')];
  let directories: Buffer;
  try {
    mkdirSync(tree);
    await unpackInto(tree, { stream, signal, index });
    using from = Inside.open(tree);
    using to = Inside.open(root);
    const named = [...readIndex(readFileSync(index, 'latin1'))];
    const both = named.filter((path) => [from, to].every((top) => isDirectory(top, path)));
    // Tar only adds to what attributes they have.
    await copyDirectoryXattrs(runner({ ...(signal === undefined ? {} : { signal }) }), tree, root, both);
    // As they came: what is taken out of them changes their times.
    directories = await packDirectories(tree, both, signal);
    merge(from, to);
  } finally {
    rmSync(apart, { recursive: true, force: true });
  }
  // Those that both have get owner, mode, times and attributes last; no link leads to them.
  await unpackInto(root, { stream: Readable.from([directories]), signal });
}

async function unpackFile({ root, stream, signal }: UnpackOptions): Promise<void> {
  const directory = mkdtempSync(join(dirname(root), '.drayage-'));
  try {
    await unpackInto(directory, { stream, signal });
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

/** Whatever is not a directory on both sides takes the other's place, with all that is in it. */
function merge(from: Inside, to: Inside): void {
  for (const name of from.names()) {
    using below = from.child(name);
    using there = below && to.child(name);
    if (below !== undefined && there !== undefined) {
      merge(below, there);
      continue;
    }
    if (to.lstat(name) !== undefined) to.remove(name);
    from.move(name, to);
  }
}

/** Times of the directories stay as they are. */
async function linkAll(
  top: Inside,
  root: string,
  links: readonly (readonly BytePath[])[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const parents = [...new Set(links.flat().map(parentOf))];
  for (const path of parents) if (!isDirectory(top, path)) throw notThere(path);
  const directories = await packDirectories(root, parents, signal);
  for (const [first = '', ...others] of links) {
    using from = top.descend(parentOf(first));
    const name = nameOf(first);
    if (from?.lstat(name) === undefined) throw notThere(first);
    for (const other of others) {
      using to = top.descend(parentOf(other));
      if (to === undefined) throw notThere(other);
      if (to.lstat(nameOf(other)) !== undefined) to.remove(nameOf(other));
      from.link(name, to, nameOf(other));
    }
  }
  await unpackInto(root, { stream: Readable.from([directories]), signal });
}

function notThere(path: BytePath): DrayageError {
  return new DrayageError('FILES_TRANSFER', `A path that is to be linked is not there: ${JSON.stringify(path)}.`);
}

function isDirectory(top: Inside, path: BytePath): boolean {
  using directory = top.descend(path);
  return directory !== undefined;
}

async function packDirectories(
  root: string,
  paths: readonly BytePath[],
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const tar = startPacking({ root, listed: true, signal });
  tar.stdin.on('error', () => {}); // Its status tells.
  tar.stdin.end(Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1'));
  const [{ code, error }, stderr, packed] = await Promise.all([tar.exited, text(tar.stderr), buffer(tar.stdout)]);
  packingOutcome(root, { code: code === 1 ? 2 : code, error, stderr });
  return packed;
}

interface Unpacking extends Pick<UnpackOptions, 'stream'> {
  signal: AbortSignal | undefined;
  /** As of `startUnpacking`. */
  index?: string;
}

async function unpackInto(root: string, { stream, signal, ...names }: Unpacking): Promise<void> {
  const tar = startUnpacking({ root, signal, ...names });
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

async function* limited(stream: Readable): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_LIST_BYTES) throw new DrayageError('FILES_TRANSFER', 'The list of changed files is too long.');
    yield piece;
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
