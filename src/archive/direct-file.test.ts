import { readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import { directStream } from './direct-file.ts';

const PART = 4 << 20;

/** Writes pieces of these sizes, and resolves to what was to be written and what lies there. */
async function written(path: string, sizes: readonly number[]): Promise<[Buffer, Buffer]> {
  const pieces = sizes.map((size, i) => Buffer.alloc(size, `${i} ${size} `));
  await using file = await open(path, 'w');
  const stream = await directStream(file, (error) => error as Error);
  for (const piece of pieces) stream.write(piece);
  stream.end();
  await finished(stream);
  return [Buffer.concat(pieces), readFileSync(path)];
}

async function spyOnWrite(path: string, write: (this: FileHandle, ...args: unknown[]) => Promise<unknown>) {
  await using handle = await open(path, 'a');
  const spy = vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'write');
  return spy.mockImplementation(write as never);
}

// A file system on a disk: not every one in memory knows the flag.
const DISK = '/var/tmp';

test('pieces of any size lie there one after another', async () => {
  using directory = scratch(DISK);
  const size = fc.oneof(fc.constantFrom(0, 1, 4095, 4096, PART - 1, PART, PART + 1, 2 * PART), fc.nat(100_000));
  await fc.assert(
    fc.asyncProperty(fc.array(size, { maxLength: 6 }), async (sizes) => {
      const [expected, found] = await written(`${directory.path}/x`, sizes);
      expect(found.equals(expected)).toBe(true);
    }),
    { numRuns: 15 },
  );
});

test('a file system that refuses is written through the cache, and a short write is gone on with', async () => {
  using directory = scratch(DISK);
  const path = `${directory.path}/x`;
  let writes = 0;
  await using any = await open(path, 'w');
  const { write } = Object.getPrototypeOf(any) as FileHandle;
  using spy = await spyOnWrite(path, function (this: FileHandle, bytes, from, length, at) {
    writes++;
    if (writes === 1) return Promise.reject(Object.assign(new Error('EINVAL'), { code: 'EINVAL' }));
    const some = writes % 2 === 0 ? Math.ceil((length as number) / 2) : length;
    return (write as (...args: unknown[]) => Promise<unknown>).call(this, bytes, from, some, at);
  });
  const [expected, found] = await written(path, [PART, PART, 5000]);
  expect(found.equals(expected)).toBe(true);
  expect(spy.mock.calls.length).toBeGreaterThan(4);
});

test('what a write failed with ends the stream', async () => {
  using directory = scratch(DISK);
  const path = `${directory.path}/x`;
  using _ = await spyOnWrite(path, () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })));
  await using file = await open(path, 'w');
  const stream = await directStream(file, (error) => new Error('told', { cause: error }));
  stream.end(Buffer.alloc(2 * PART + 1));
  await expect(finished(stream)).rejects.toThrow('told');
});
