import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { frameHeader } from './frames.ts';
import { MemorySync } from './memory-sync.ts';
import { PAGE } from './page-hash/page-hasher.ts';
import { decodePagemap, encodePagemap, PE_PARENT, PE_PRESENT } from './pagemap.ts';
import type { ProcessMemory } from './process-memory.ts';
import { receiveImages } from './receive.ts';

let dir: string;
let from: string;
let to: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'memory-'));
  fresh();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function fresh(): void {
  rmSync(dir, { recursive: true, force: true });
  from = join(dir, 'from/images');
  to = join(dir, 'to/images');
  for (const path of [from, to]) mkdirSync(path, { recursive: true });
}

interface Transfer {
  sync: MemorySync;
  near: Duplex;
  far: Duplex;
  received: Promise<number>;
}

async function open(openProcess?: (pid: number) => ProcessMemory | undefined): Promise<Transfer> {
  const [near, far] = duplexPair({ allowHalfOpen: true });
  const received = receiveImages(to, far);
  received.catch(() => {});
  const options = { dir: join(dir, 'from/hashes'), open: async () => near };
  const sync = await MemorySync.open(openProcess === undefined ? options : { ...options, openProcess });
  return { sync, near, far, received };
}

function contents(of: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(of, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(of, name)).toString('base64')]),
  );
}

test('files that grow while they are sent arrive whole', async () => {
  const { sync, received } = await open();
  const dumping = (async () => {
    for (let i = 0; i < 20; i++) {
      appendFileSync(join(from, 'pages-1.img'), randomBytes(300_000));
      await sleep(2);
    }
    writeFileSync(join(from, 'inventory.img'), 'end');
    writeFileSync(join(from, 'tmpfs-dev-7.tar.gz.img'), randomBytes(1_500_000));
  })();
  await sync.sendDump(from, dumping);
  expect(await received).toBe(20 * 300_000 + 3 + 1_500_000);
  expect(sync.bytes).toBe(await received);
  expect(contents(to)).toEqual(contents(from));
});

test('any set of files arrives as it is', async () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);
  await fc.assert(
    fc.asyncProperty(fc.dictionary(name, fc.uint8Array({ maxLength: 2000 })), async (files) => {
      fresh();
      for (const [file, bytes] of Object.entries(files)) writeFileSync(join(from, file), bytes);
      const { sync, received } = await open();
      await Promise.all([sync.sendDump(from, Promise.resolve()), received]);
      expect(contents(to)).toEqual(contents(from));
    }),
    { numRuns: 30 },
  );
});

test('a dump that fails ends the sending with its error', async () => {
  const { sync, received, far } = await open();
  await expect(sync.sendDump(from, Promise.reject(new Error('no dump')))).rejects.toThrow('no dump');
  sync[Symbol.dispose]();
  far.destroy();
  await expect(received).rejects.toMatchObject({ code: 'CHANNEL_LOST' });
});

test('a target that goes away ends the sending', async () => {
  const { sync, far, near } = await open();
  writeFileSync(join(from, 'pages-1.img'), randomBytes(30 << 20));
  const sending = sync.sendDump(from, Promise.resolve());
  far.destroy();
  near.destroy();
  await expect(sending).rejects.toMatchObject({ code: 'CHANNEL_LOST' });
});

test.each([
  ['a path', '1 ../evil'],
  ['a path in the parent', '1 parent/../evil'],
  ['a number twice', '1 a'],
])('the target refuses %s', async (_, announcement) => {
  const [near, far] = duplexPair({ allowHalfOpen: true });
  const received = receiveImages(to, far);
  const payload = Buffer.from(announcement);
  const frame = Buffer.concat([frameHeader(0, payload.length, 0), payload]);
  near.write(Buffer.concat([frame, frame]));
  await expect(received).rejects.toMatchObject({ code: 'PROTOCOL' });
  expect(readdirSync(join(dir, 'to'))).not.toContain('evil');
});

/** What a page holds: four bytes, again and again. */
type Memory = Map<number, number>;

class FakeProcess implements ProcessMemory {
  readonly pid: number;
  /** Changes to come, one for each look at the memory. */
  readonly #states: Memory[];

  constructor(pid: number, states: Memory[]) {
    this.pid = pid;
    this.#states = states;
  }

  *resident(most: number) {
    for (const run of runsOf(this.#now())) {
      for (let done = 0; done < run.pages; done += most)
        yield { page: run.page + done, pages: Math.min(most, run.pages - done) };
    }
  }

  read({ page, pages }: { page: number; pages: number }, into: Buffer): number {
    const memory = this.#now();
    if (this.#states.length > 1) this.#states.shift();
    for (let i = 0; i < pages; i++) {
      const content = memory.get(page + i);
      if (content === undefined) return i;
      fill(into, i, content);
    }
    return pages;
  }

  close(): void {}

  #now(): Memory {
    return this.#states[0] as Memory;
  }
}

function fill(buffer: Buffer, place: number, content: number): void {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(content);
  buffer.fill(word, place * PAGE, (place + 1) * PAGE);
}

function runsOf(memory: Memory): { page: number; pages: number }[] {
  const runs: { page: number; pages: number }[] = [];
  for (const page of [...memory.keys()].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.pages === page) last.pages++;
    else runs.push({ page, pages: 1 });
  }
  return runs;
}

function writeDump(pid: number, pagesId: number, memory: Memory): void {
  const runs = runsOf(memory);
  const pages = Buffer.alloc(memory.size * PAGE);
  let place = 0;
  for (const run of runs) for (let i = 0; i < run.pages; i++) fill(pages, place++, memory.get(run.page + i) as number);
  const entries = runs.map((run, i) => ({ ...run, flags: i % 2 === 0 ? PE_PRESENT : PE_PRESENT | 2 }));
  writeFileSync(join(from, `pagemap-${pid}.img`), encodePagemap({ pagesId, entries }));
  writeFileSync(join(from, `pages-${pagesId}.img`), pages);
}

/** What CRIU makes of the images at the target (criu/pagemap.c): present pages in turn, others from the parent. */
function restored(pid: number, images: string): Memory {
  const { pagesId, entries } = decodePagemap(readFileSync(join(images, `pagemap-${pid}.img`)));
  const pages = readFileSync(join(images, `pages-${pagesId}.img`));
  const hasParent = readdirSync(images).includes('parent');
  const parent = hasParent && readdirSync(join(images, 'parent')).includes(`pagemap-${pid}.img`);
  const inherited = parent ? restored(pid, join(images, 'parent')) : new Map<number, number>();
  const memory: Memory = new Map();
  let place = 0;
  for (const { page, pages: count, flags } of entries) {
    for (let i = 0; i < count; i++) {
      if (flags & PE_PARENT) {
        expect(inherited.has(page + i)).toBe(true);
        memory.set(page + i, inherited.get(page + i) as number);
      } else {
        const content = pages.subarray(place * PAGE, ++place * PAGE);
        expect(content.length).toBe(PAGE);
        memory.set(page + i, content.readUInt32LE(PAGE - 4));
      }
    }
  }
  expect(pages.length).toBe(place * PAGE);
  return memory;
}

const memory = fc
  .array(fc.tuple(fc.nat(40), fc.nat(5)), { maxLength: 40 })
  .map((pages): Memory => new Map(pages.map(([page, content]) => [1000 + page, content])));

test('whatever changes between and after the rounds, the target restores what was dumped', async () => {
  const processes = fc.array(fc.record({ states: fc.array(memory, { minLength: 1, maxLength: 5 }), dumped: memory }), {
    minLength: 1,
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(processes, fc.boolean(), async (all, startsAnother) => {
      fresh();
      const { sync, received } = await open((hostPid) => {
        const states = all[hostPid - 100]?.states;
        return states === undefined ? undefined : new FakeProcess(hostPid - 99, [...states]);
      });
      await sync.precopy([99, ...all.map((_, i) => 100 + i)]);
      const dumped = all.map((each) => each.dumped);
      if (startsAnother) dumped.push(new Map([[7, 7]]));
      for (const [i, each] of dumped.entries()) writeDump(i + 1, i + 10, each);
      writeFileSync(join(from, 'inventory.img'), 'small');
      await Promise.all([sync.sendDump(from, Promise.resolve()), received]);
      for (const [i, each] of dumped.entries()) {
        const sorted = new Map([...each].sort(([a], [b]) => a - b));
        expect([...restored(i + 1, to)]).toEqual([...sorted]);
      }
      expect(readFileSync(join(to, 'inventory.img'), 'utf8')).toBe('small');
      sync[Symbol.dispose]();
    }),
    { numRuns: 150 },
  );
});

test('what was sent before and is the same is not sent again', async () => {
  const before: Memory = new Map(Array.from({ length: 5000 }, (_, i) => [i, i]));
  const { sync, received } = await open(() => new FakeProcess(1, [before]));
  await sync.precopy([1]);
  const first = sync.bytes;
  expect(first).toBeGreaterThanOrEqual(5000 * PAGE);
  writeDump(1, 1, new Map([...before, [77, 0], [4096, 0], [9000, 0]]));
  await Promise.all([sync.sendDump(from, Promise.resolve()), received]);
  expect(sync.bytes - first).toBeLessThan(3 * PAGE + 500);
  expect(restored(1, to).get(4096)).toBe(0);
});

test('a pagemap that is not understood goes as it is, with all of its pages', async () => {
  const { sync, received } = await open(() => new FakeProcess(1, [new Map([[1, 1]])]));
  await sync.precopy([1]);
  writeDump(1, 4, new Map([[1, 1]]));
  appendFileSync(join(from, 'pagemap-1.img'), Buffer.from([4, 0, 0, 0, 8, 0, 0x30, 1]));
  await Promise.all([sync.sendDump(from, Promise.resolve()), received]);
  expect(contents(to)).toEqual(contents(from));
});
