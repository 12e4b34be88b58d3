import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { Decrypter, Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decrypted, encrypted, type Key, type Lock } from './encryption.ts';

const content = randomBytes(200_000);
const identity = await generateIdentity();
const lock: Lock = { recipients: [await identityToRecipient(identity)] };
const key: Key = { identities: [identity] };

test('what was encrypted to a key or a passphrase is opened by it, and by nothing else', async () => {
  const byKey = await lockUp(lock);
  const byPhrase = await lockUp({ passphrase: 'right' });
  expect((await opened(byKey, key)).equals(content)).toBe(true);
  expect((await opened(byPhrase, { passphrase: 'right' })).equals(content)).toBe(true);
  const others = [undefined, { passphrase: 'wrong' }, { identities: [await generateIdentity()] }];
  for (const archive of [byKey, byPhrase])
    for (const other of others) await expect(opened(archive, other)).rejects.toMatchObject({ code: 'ARCHIVE_LOCKED' });
});

test('passphrases are those of age', async () => {
  const theirs = new Encrypter();
  theirs.setPassphrase('words');
  theirs.setScryptWorkFactor(12);
  expect((await opened(Buffer.from(await theirs.encrypt(content)), { passphrase: 'words' })).equals(content)).toBe(
    true,
  );
  const reader = new Decrypter();
  reader.addPassphrase('words');
  const plain = await reader.decrypt(new Uint8Array(await lockUp({ passphrase: 'words' })));
  expect(content.equals(plain)).toBe(true);
});

test('what is not encrypted passes', async () => {
  expect((await opened(content, undefined)).equals(content)).toBe(true);
  expect((await opened(Buffer.from('short'), key)).toString()).toBe('short');
});

test('one that is cut short or altered anywhere is refused', async () => {
  const archive = await lockUp(lock);
  const bad = { code: expect.stringMatching(/^ARCHIVE_(DAMAGED|LOCKED)$/) };
  await fc.assert(
    fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      // Before that it is not known to be encrypted.
      if (at > 21) await expect(opened(archive.subarray(0, at), key)).rejects.toMatchObject(bad);
      const altered = Buffer.from(archive);
      altered[at] = (altered[at] as number) ^ by;
      if (at >= 21) await expect(opened(altered, key)).rejects.toMatchObject(bad);
    }),
    { numRuns: 40 },
  );
});

async function lockUp(to: Lock): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const out = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      pieces.push(Buffer.from(piece));
      done();
    },
  });
  const { stream, done } = await encrypted(out, to);
  stream.end(content);
  await done;
  return Buffer.concat(pieces);
}

async function opened(archive: Buffer, by: Key | undefined): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of decrypted(inPieces(archive), by)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
}
