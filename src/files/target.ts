/** The target's side of carrying a tree of files: a confined receiver, and deletion of what the source has no more. */
import { linkSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setImmediate as breathe } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import { startReceiver } from '../tools/rsync.ts';
import { bridge } from './bridge.ts';
import { type BytePath, joinBytes } from './byte-path.ts';
import { checkName, componentsOf, Inside } from './inside.ts';

export interface ReceiveOptions {
  /** Where the tree goes. For a writable layer that is mounted, the mounted root file system. */
  root: string;
  /** The tree is a single file, `root` its path. */
  isFile?: boolean;
  /** From the source; ended when the receiver has ended. */
  stream: Duplex;
  signal?: AbortSignal;
  /**
   * Resolves as soon as the source has ended the stream, which it does with the receiver's goodbye: all is in place then.
   * The receiver itself ends up to 40 ms later, waiting for its own child in steps of 20 ms (rsync's main.c, do_recv).
   */
  trustsSource?: boolean;
  /** For a small file until the receiver has read it; default the system's directory for them. */
  workDir?: string;
  record?: ProgramRecorder;
}

/**
 * Receives one pass of a tree. Resolves when the receiver has ended, well or not: it is the source's end that knows
 * whether all has arrived, because rsync tells its sender. A source that opened the stream and then needed no transfer
 * just closes it.
 * @throws the file system's error where `root` cannot be made.
 */
export async function receiveTree(options: ReceiveOptions): Promise<void> {
  if (options.isFile !== true) {
    mkdirSync(options.root, { recursive: true });
    return receiveInto(options.root, options);
  }
  // The receiver has the directory for itself, so a source cannot touch the file's neighbours; on the same file
  // system, so that the file can be put in place by its name alone.
  const directory = mkdtempSync(join(dirname(options.root), '.drayage-'));
  const received = join(directory, 'file');
  try {
    if (lstatSync(options.root, { throwIfNoEntry: false })?.isFile()) linkSync(options.root, received);
    await receiveInto(directory, options);
    if (lstatSync(received, { throwIfNoEntry: false })) renameSync(received, options.root);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function receiveInto(
  directory: string,
  { stream, signal, trustsSource = false, workDir = tmpdir(), record }: ReceiveOptions,
): Promise<void> {
  const startedAt = performance.now();
  const receiver = startReceiver(directory, workDir, signal);
  receiver.stderr.resume(); // What it has to say, it says to the sender, too.
  bridge(stream, receiver);
  const sent = new Promise<Awaited<typeof receiver.exited>>((resolve) => {
    if (trustsSource) stream.once('end', () => resolve({ code: null, signal: null }));
  });
  const { error } = await Promise.race([receiver.exited, sent]);
  record?.('rsync', startedAt, performance.now() - startedAt);
  signal?.throwIfAborted();
  if (error !== undefined) {
    stream.destroy();
    throw new DrayageError('FILES_TRANSFER', `rsync cannot be started on the target: ${error.message}`, {
      cause: error,
    });
  }
}

/** One directory of the source, and everything that is in it there. */
export interface Listing {
  path: BytePath;
  names: BytePath[];
}

export interface PruneResult {
  /** Entries deleted, those below a deleted directory included. */
  deleted: number;
  /** What is listed and not here. */
  missing: BytePath[];
}

/** What one call may name: a directory's listing is not divided. */
const MAX_NAMES_PER_CALL = 2_000_000;
const ENTRIES_PER_TURN = 500;

/**
 * Makes directories hold no names but those listed. A directory that is not here is passed over: its name is missing
 * in the listing of its parent.
 * @throws DrayageError FILES_UNSAFE_PATH before anything is deleted.
 */
export async function pruneTree({
  root,
  listings,
  signal,
}: {
  root: string;
  listings: readonly Listing[];
  signal?: AbortSignal;
}): Promise<PruneResult> {
  checkListings(listings);
  const result: PruneResult = { deleted: 0, missing: [] };
  using top = Inside.open(root);
  let sinceTurn = 0;
  for (const { path, names } of listings) {
    using directory = top.descend(path);
    if (directory === undefined) continue;
    const listed = new Set(names);
    for (const name of directory.names()) {
      if (!listed.delete(name)) result.deleted += directory.remove(name);
      if (++sinceTurn % ENTRIES_PER_TURN === 0) await breathe();
    }
    for (const name of listed) result.missing.push(joinBytes(path, name));
    signal?.throwIfAborted();
  }
  return result;
}

function checkListings(listings: readonly Listing[]): void {
  let total = 0;
  for (const { path, names } of listings) {
    componentsOf(path);
    for (const name of names) checkName(name);
    total += names.length + 1;
  }
  if (total > MAX_NAMES_PER_CALL) {
    throw new DrayageError('FILES_UNSAFE_PATH', `The source named ${total} entries in one call, which is too many.`);
  }
}
