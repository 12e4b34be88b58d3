import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { createGzip, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LogCount, parseEntry, readJsonLog } from './json-log.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drayage-log-'));
});
afterEach(() => rm(dir, { recursive: true }));

const line = (text: string) =>
  `${JSON.stringify({ log: text, stream: 'stdout', time: '2026-11-21T06:33:15.123456789Z' })}\n`;

async function texts(name = 'c-json.log', count?: LogCount): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of readJsonLog(join(dir, name), count)) found.push(text);
  return found;
}

test('rotated files come first, the oldest of them at the front, packed or not', async () => {
  await writeFile(join(dir, 'c-json.log'), line('now\n'));
  await writeFile(join(dir, 'c-json.log.1'), line('before\n'));
  await writeFile(join(dir, 'c-json.log.2.gz'), gzipSync(line('long ago\n')));
  await writeFile(join(dir, 'c-json.log.10.gz'), gzipSync(line('first\n')));
  await writeFile(join(dir, 'c-json.log.bak'), line('no log\n'));
  expect(await texts()).toEqual(['first\n', 'long ago\n', 'before\n', 'now\n']);
});

test('a line torn by a crash costs only itself', async () => {
  const torn = `${line('whole\n')}{"log":"half of i${line('after\n')}\0\0\0\0\n${line('last\n')}{"log":"tor`;
  await writeFile(join(dir, 'c-json.log'), torn);
  const count = { entries: 0, bytes: 0, torn: 0 };
  expect(await texts('c-json.log', count)).toEqual(['whole\n', 'after\n', 'last\n']);
  expect(count).toMatchObject({ entries: 3, torn: 2 });
});

test('an entry has its time, and one without is taken all the same', () => {
  expect(parseEntry(line('x').trim())?.timeMs).toBe(Date.parse('2026-11-21T06:33:15.123Z'));
  expect(parseEntry('{"log":"x"}')).toEqual({ text: 'x', timeMs: Number.NaN });
});

test('bytes that are no UTF-8 are replaced, not refused', async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"log":"caf'),
    Buffer.from([0xe9]),
    Buffer.from('\\n","stream":"stdout"}\n'),
  ]);
  await writeFile(join(dir, 'c-json.log'), bytes);
  expect(await texts()).toEqual(['caf\ufffd\n']);
});

test.each([
  ['a binary file', Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256))],
  ['a log of the local driver', Buffer.from([0, 0, 0, 20, 10, 6, 115, 116, 100, 111, 117, 116, 0, 0, 0, 20])],
  ['plain text', Buffer.from('root@dev:/# ls\n'.repeat(100))],
])('%s is no log', async (_, content) => {
  await writeFile(join(dir, 'c-json.log'), content);
  await expect(texts()).rejects.toMatchObject({ code: 'REPLAY_NOT_A_LOG' });
});

test('a file that is not there, and one whose packing is broken', async () => {
  await expect(texts()).rejects.toMatchObject({ code: 'REPLAY_NO_LOG' });
  await writeFile(join(dir, 'c-json.log.1.gz'), gzipSync(line('x\n')).subarray(0, 20));
  await expect(texts()).rejects.toMatchObject({ code: 'REPLAY_NO_LOG' });
});

test('200 MB take no more memory than 20', async () => {
  await packed('small', 20);
  await packed('large', 200);
  const small = await peakOf(() => texts1('small.gz'));
  const large = await peakOf(() => texts1('large.gz'));
  expect(large - small).toBeLessThan(40 << 20);
}, 60_000);

/** Writes so many MB of log, packed. */
async function packed(name: string, megabytes: number): Promise<void> {
  const block = line(`${'x'.repeat(900)}\n`).repeat(1000);
  const gzip = createGzip({ level: 1 });
  const file = gzip.pipe(createWriteStream(join(dir, `${name}.gz`)));
  for (let bytes = 0; bytes < megabytes * 1e6; bytes += block.length) {
    if (!gzip.write(block)) await new Promise((resolve) => gzip.once('drain', resolve));
  }
  gzip.end();
  await finished(file);
}

async function texts1(name: string): Promise<void> {
  for await (const _ of readJsonLog(join(dir, name))) {
    // Only the memory counts.
  }
}

/** Most bytes of heap and buffers that were in use meanwhile. */
async function peakOf(work: () => Promise<void>): Promise<number> {
  let peak = 0;
  const look = setInterval(() => {
    const { heapUsed, external } = process.memoryUsage();
    peak = Math.max(peak, heapUsed + external);
  }, 20);
  await work();
  clearInterval(look);
  return peak;
}
