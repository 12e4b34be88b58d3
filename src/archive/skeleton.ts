/**
 * The digest of everything in an archive but what its entries' own digests stand for: headers, digests, padding, order.
 * So no byte is hashed twice, and no byte is not.
 */
import { createHash } from 'node:crypto';
import { BLOCK } from './layout.ts';
import { padded, parseHeader } from './tar-header.ts';

/** Of a block of zeros. */
const END = { size: 0, type: 'file' } as const;

export class Skeleton {
  readonly #hash = createHash('sha256');
  readonly #header = Buffer.alloc(BLOCK);
  #filled = 0;
  /** Left of the entry that the last header began: bytes to be hashed, or to be passed over, then padding. */
  #content = 0;
  #padding = 0;
  #isHashed = true;
  /** The next header's content has its digest in what was hashed. */
  #hasDigest = false;

  update(piece: Buffer): void {
    for (let at = 0; at < piece.length; ) {
      const left = this.#content || this.#padding || BLOCK - this.#filled;
      const part = piece.subarray(at, at + left);
      at += part.length;
      if (this.#content > 0) {
        this.#content -= part.length;
        if (this.#isHashed) this.#hash.update(part);
        continue;
      }
      this.#hash.update(part);
      if (this.#padding > 0) this.#padding -= part.length;
      else this.#take(part);
    }
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  #take(part: Buffer): void {
    part.copy(this.#header, this.#filled);
    this.#filled += part.length;
    if (this.#filled < BLOCK) return;
    this.#filled = 0;
    const { size, type } = parseHeader(this.#header) ?? END;
    this.#content = size;
    this.#padding = padded(size) - size;
    const isRecord = type === 'record';
    this.#isHashed = isRecord || !this.#hasDigest;
    this.#hasDigest = isRecord;
  }
}
