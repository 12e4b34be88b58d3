import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HASH_BYTES, PAGE, PageHasher } from './page-hasher.ts';

/** NH of RFC 4418, 5.2.2, as it is written there. */
function nh(key: Buffer, page: Buffer, pass: number): bigint {
  const k = (i: number) => key.readUInt32LE(16 * pass + 4 * i);
  const m = (i: number) => page.readUInt32LE(4 * i);
  let sum = 0n;
  for (let t = 0; t < PAGE / 4; t += 8) {
    for (let i = t; i < t + 4; i++) sum += BigInt((m(i) + k(i)) >>> 0) * BigInt((m(i + 4) + k(i + 4)) >>> 0);
  }
  return BigInt.asUintN(64, sum);
}

test('hashes are those of the definition', () => {
  const hasher = new PageHasher({ buffers: 2, pages: 3 });
  for (const buffer of hasher.buffers) {
    randomBytes(buffer.length).copy(buffer);
    buffer.fill(0, PAGE, 2 * PAGE);
    buffer.fill(0xff, 2 * PAGE);
    const hashes = Buffer.from(hasher.hash(buffer, 3));
    for (let page = 0; page < 3; page++) {
      for (let pass = 0; pass < 4; pass++) {
        const expected = nh(hasher.key, buffer.subarray(page * PAGE, (page + 1) * PAGE), pass);
        expect(hashes.readBigUInt64LE(page * HASH_BYTES + pass * 8)).toBe(expected);
      }
    }
  }
});

test('a page with one bit changed has another hash, and every hasher a key of its own', () => {
  const hasher = new PageHasher({ buffers: 1, pages: 2 });
  const [buffer] = hasher.buffers as [Buffer];
  fc.assert(
    fc.property(fc.nat(PAGE * 8 - 1), (bit) => {
      buffer.copy(buffer, PAGE, 0, PAGE);
      buffer[PAGE + (bit >> 3)] = (buffer[PAGE + (bit >> 3)] as number) ^ (1 << (bit & 7));
      const hashes = hasher.hash(buffer, 2);
      expect(hashes.subarray(0, HASH_BYTES).equals(hashes.subarray(HASH_BYTES))).toBe(false);
    }),
  );
  const another = new PageHasher({ buffers: 1, pages: 1 });
  expect(another.hash(another.buffers[0] as Buffer, 1).equals(hasher.hash(buffer, 1))).toBe(false);
});
