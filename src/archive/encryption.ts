/** Encryption of whole archives in the format of age (age-encryption.org/v1): `age -d` opens them, too. */
import { PassThrough, Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { Decrypter, Encrypter } from 'age-encryption';
import { DrayageError } from '../errors.ts';
import { passphraseIdentity, passphraseRecipient } from './passphrase.ts';

/** What it is encrypted to; a recipient reads `age1...`. */
export type Lock = { passphrase: string } | { recipients: string[] };
/** What opens it; an identity reads `AGE-SECRET-KEY-1...`. */
export type Key = { passphrase: string } | { identities: string[] };

const MAGIC = 'age-encryption.org/v1';

/** What is written to `stream` goes to `out` encrypted; `done` when all has, and rejects where `out` fails. */
export async function encrypted(out: Writable, lock: Lock): Promise<{ stream: Writable; done: Promise<void> }> {
  const encrypter = new Encrypter();
  try {
    if ('passphrase' in lock) encrypter.addRecipient(passphraseRecipient(lock.passphrase));
    else for (const recipient of lock.recipients) encrypter.addRecipient(recipient);
  } catch (error) {
    throw new DrayageError('USAGE', `Nothing can be encrypted to that: ${(error as Error).message}.`, { cause: error });
  }
  const stream = new PassThrough({ highWaterMark: 1 << 20 });
  const secret = await encrypter.encrypt(Readable.toWeb(stream) as unknown as globalThis.ReadableStream<Uint8Array>);
  const done = pipeline(Readable.fromWeb(secret as unknown as ReadableStream), out);
  done.catch((error: Error) => stream.destroy(error));
  return { stream, done };
}

/**
 * The archive itself, decrypted where it is encrypted.
 * @throws DrayageError ARCHIVE_LOCKED without the right key, ARCHIVE_DAMAGED where it was altered or cut short.
 */
export async function* decrypted(
  input: AsyncIterable<Buffer>,
  key: Key | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const pieces = input[Symbol.asyncIterator]();
  let first: Buffer = Buffer.alloc(0);
  while (first.length < MAGIC.length) {
    const { value, done } = await pieces.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  const all = rejoined(first, pieces);
  if (first.toString('latin1', 0, MAGIC.length) !== MAGIC) return yield* all;
  if (key === undefined) throw new DrayageError('ARCHIVE_LOCKED', 'The archive is encrypted.');
  yield* open(all, key);
}

async function* open(input: AsyncIterable<Buffer>, key: Key): AsyncGenerator<Buffer, void, undefined> {
  const decrypter = new Decrypter();
  let failure: unknown;
  const watched = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* input;
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  let plain: AsyncIterable<Uint8Array>;
  try {
    if ('passphrase' in key) decrypter.addIdentity(passphraseIdentity(key.passphrase));
    else for (const identity of key.identities) decrypter.addIdentity(identity);
    const source = Readable.toWeb(Readable.from(watched(), { objectMode: false }));
    const stream = await decrypter.decrypt(source as unknown as globalThis.ReadableStream<Uint8Array>);
    plain = stream as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw failure ?? new DrayageError('ARCHIVE_LOCKED', 'What was given does not open the archive.', { cause: error });
  }
  try {
    for await (const piece of plain) yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
  } catch (error) {
    if (failure !== undefined) throw failure;
    throw new DrayageError('ARCHIVE_DAMAGED', 'The encrypted archive is cut short, or was changed since.', {
      cause: error,
    });
  }
}

async function* rejoined(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
