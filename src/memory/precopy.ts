/**
 * Memory that is sent while the workload runs. The kernel is not asked which pages are written to (soft-dirty is not
 * everywhere): every page is read and hashed, and later the pages of the dump are, too; what is equal is not sent again.
 * At the target the pages make a parent of the dump's images, in CRIU's own format: see
 * docs/decisions/0006-content-pre-copy.md.
 */
import { join } from 'node:path';
import { CHUNK, PARENT } from './frames.ts';
import { differingHashes, HashFile, hashBuffer } from './hash-file.ts';
import { HASH_BYTES, PAGE, type PageHasher } from './page-hash/page-hasher.ts';
import { PageLayout, type PlacedRun } from './page-layout.ts';
import { encodePagemap, PE_PRESENT } from './pagemap.ts';
import { openProcess, type ProcessMemory } from './process-memory.ts';
import type { ImageSender } from './sender.ts';

const CHUNK_PAGES = CHUNK / PAGE;
const MAX_ROUNDS = 5;
/** What is left to be sent in the freeze costs milliseconds: another round would not pay. */
const ENOUGH_PAGES = 512;
/** A round that finds more than this part of what the one before it found does not get any further. */
const CONVERGING = 0.7;

/** A process, and what the target has of its memory. */
export interface SentProcess {
  /** Number of its pages image in the stream. */
  file: number;
  layout: PageLayout;
  hashes: HashFile;
}

export interface PrecopyOptions {
  /** As this host knows them. */
  pids: readonly number[];
  /** Undefined for a process that has ended; default the real ones. */
  open?: (hostPid: number) => ProcessMemory | undefined;
  sender: ImageSender;
  hasher: PageHasher;
  /** For the hashes; must exist. */
  dir: string;
  signal?: AbortSignal | undefined;
  /** By pid in its own namespace; filled. Whoever made it closes the files in it, however this ends. */
  sent: Map<number, SentProcess>;
}

/** Sends the memory of the processes, and again what changes meanwhile, until little does. */
export async function precopy(options: PrecopyOptions): Promise<void> {
  const { pids, sender, sent, open = openProcess } = options;
  const memories: ProcessMemory[] = [];
  try {
    for (const hostPid of pids) {
      const memory = open(hostPid);
      if (memory === undefined) continue;
      memories.push(memory);
      if (!sent.has(memory.pid)) await sendAll(memory, options);
    }
    let before = Number.POSITIVE_INFINITY;
    for (let round = 2; round <= MAX_ROUNDS; round++) {
      let changed = 0;
      for (const memory of memories) changed += await sendChanged(memory, options);
      if (changed <= ENOUGH_PAGES || changed > CONVERGING * before) break;
      before = changed;
    }
    sender.flush();
  } finally {
    for (const memory of memories) memory.close();
  }
}

/** The first round of a process. */
async function sendAll(memory: ProcessMemory, { sender, hasher, dir, signal, sent }: PrecopyOptions): Promise<void> {
  const { pid } = memory;
  const pagesId = sent.size + 1;
  const file = sender.announce(`${PARENT}/pages-${pagesId}.img`);
  const layout = new PageLayout();
  const hashes = new HashFile(join(dir, `sent-${pid}`));
  sent.set(pid, { file, layout, hashes });
  for (const run of memory.resident(CHUNK_PAGES)) {
    signal?.throwIfAborted();
    // Reading memory and page tables blocks: let the agent's other work have its turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (run.pages === 0) continue;
    const buffer = await sender.take();
    const pages = memory.read(run, buffer);
    const at = layout.pages;
    if (pages === 0 || !layout.add({ page: run.page, pages })) {
      sender.give(buffer);
      continue;
    }
    hashes.write(at, hasher.hash(buffer, pages));
    sender.send(file, at * PAGE, buffer, pages * PAGE);
  }
  const entries = layout.runs.map(({ page, pages }) => ({ page, pages, flags: PE_PRESENT }));
  sender.sendFiles([{ name: `${PARENT}/pagemap-${pid}.img`, bytes: encodePagemap({ pagesId, entries }) }]);
}

/** A later round: sends what has other content than what was sent last, in place. @returns pages sent */
async function sendChanged(memory: ProcessMemory, { sender, hasher, signal, sent }: PrecopyOptions): Promise<number> {
  const { file, layout, hashes } = sent.get(memory.pid) as SentProcess;
  const known = hashBuffer(CHUNK_PAGES);
  let changed = 0;
  for (const run of chunksOf(layout.runs)) {
    signal?.throwIfAborted();
    const buffer = await sender.take();
    const pages = memory.read(run, buffer);
    const now = hasher.hash(buffer, pages);
    for (const { at, pages: count } of differingHashes(now, hashes.read(run.at, pages, known))) {
      changed += count;
      hashes.write(run.at + at, now.subarray(at * HASH_BYTES, (at + count) * HASH_BYTES));
      const from = at * PAGE;
      await sender.gather(file, (run.at + at) * PAGE, count * PAGE, (into, done) => {
        buffer.copy(into, 0, from + done, from + done + into.length);
      });
    }
    sender.give(buffer);
    // Reading memory blocks: let the agent's other work have its turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return changed;
}

function* chunksOf(runs: readonly PlacedRun[]): Generator<PlacedRun> {
  for (const { page, pages, at } of runs) {
    for (let done = 0; done < pages; done += CHUNK_PAGES)
      yield { page: page + done, at: at + done, pages: Math.min(CHUNK_PAGES, pages - done) };
  }
}
