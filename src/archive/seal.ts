/** Whether an archive is one, and whole: its first bytes, and the seal at its end. */
import { DrayageError } from '../errors.ts';
import { BLOCK, damaged, MAGIC, sealOf } from './layout.ts';
import { Skeleton } from './skeleton.ts';

/**
 * Passes on all but the seal. When it ends, everything that it passed on was what the seal says; that the content of
 * the entries is what their digests say is for who reads them.
 * @throws DrayageError ARCHIVE_FOREIGN at the first bytes, ARCHIVE_DAMAGED at the end.
 */
export async function* unsealed(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const skeleton = new Skeleton();
  let held: Buffer = Buffer.alloc(0);
  let isKnown = false;
  for await (const piece of input) {
    // Large pieces go through without being copied.
    const [first, second] = piece.length >= BLOCK && isKnown ? [held, piece] : [Buffer.concat([held, piece])];
    const last = second ?? first;
    if (!isKnown && first.length >= MAGIC.length) {
      if (first.toString('latin1', 0, MAGIC.length) !== MAGIC) throw foreign();
      isKnown = true;
    }
    for (const part of [second && first, last.subarray(0, Math.max(0, last.length - BLOCK))]) {
      if (part === undefined || part.length === 0) continue;
      skeleton.update(part);
      yield part;
    }
    held = Buffer.from(last.subarray(Math.max(0, last.length - BLOCK)));
  }
  if (!isKnown) throw foreign();
  if (!held.equals(sealOf(skeleton.digest()))) throw damaged('it is cut short, or was changed since');
}

function foreign(): DrayageError {
  return new DrayageError('ARCHIVE_FOREIGN', 'This is not an archive that drayage knows.');
}
