import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { receiveImages, sendImages } from './images.ts';

let dir: string;
let from: string;
let to: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'images-'));
  from = join(dir, 'from');
  to = join(dir, 'to');
  mkdirSync(from);
  mkdirSync(to);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function contents(of: string): Record<string, string> {
  return Object.fromEntries(readdirSync(of).map((name) => [name, readFileSync(join(of, name)).toString('base64')]));
}

test('files that grow while they are sent arrive whole', async () => {
  const [near, far] = duplexPair();
  const dumping = (async () => {
    for (let i = 0; i < 20; i++) {
      appendFileSync(join(from, 'pages-1.img'), randomBytes(300_000));
      await sleep(2);
    }
    writeFileSync(join(from, 'inventory.img'), 'end');
  })();
  const seen: number[] = [];
  const received = receiveImages(to, far);
  const sent = await sendImages(from, near, dumping, (bytes) => seen.push(bytes));
  expect(await received).toBe(sent);
  expect(sent).toBe(20 * 300_000 + 3);
  expect(contents(to)).toEqual(contents(from));
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

test('any set of files arrives as it is', async () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);
  await fc.assert(
    fc.asyncProperty(fc.dictionary(name, fc.uint8Array({ maxLength: 2000 })), async (files) => {
      rmSync(from, { recursive: true });
      rmSync(to, { recursive: true });
      mkdirSync(from);
      mkdirSync(to);
      for (const [file, bytes] of Object.entries(files)) writeFileSync(join(from, file), bytes);
      const [near, far] = duplexPair();
      await Promise.all([sendImages(from, near, Promise.resolve()), receiveImages(to, far)]);
      expect(contents(to)).toEqual(contents(from));
    }),
    { numRuns: 30 },
  );
});

test('a dump that fails ends the sending with its error', async () => {
  const [near, far] = duplexPair();
  const received = receiveImages(to, far).catch((error: Error) => error);
  await expect(sendImages(from, near, Promise.reject(new Error('no dump')))).rejects.toThrow('no dump');
  near.destroy();
  far.destroy();
  expect(await received).toMatchObject({ code: 'CHANNEL_LOST' });
});

test.each([
  ['a path', '1 ../escape'],
  ['a hidden file', '1 .x'],
  ['no name', '1'],
])('a peer that announces %s is refused', async (_, announcement) => {
  const [near, far] = duplexPair();
  const payload = Buffer.from(announcement);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(payload.length, 4);
  near.write(Buffer.concat([head, payload]));
  await expect(receiveImages(to, far)).rejects.toMatchObject({ code: 'PROTOCOL' });
});

test('data of a file that was not announced is refused', async () => {
  const [near, far] = duplexPair();
  const head = Buffer.alloc(16);
  head.writeUInt32LE(7, 0);
  head.writeUInt32LE(1, 4);
  near.write(Buffer.concat([head, Buffer.of(1)]));
  await expect(receiveImages(to, far)).rejects.toMatchObject({ code: 'PROTOCOL' });
});
