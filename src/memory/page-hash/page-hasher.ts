/**
 * Hashes of memory pages by NH, the universal hash of UMAC (RFC 4418), in four passes, with a key of its own for every
 * hasher. For two pages that differ, whatever is in them, the probability of equal hashes is at most 2^-128, for
 * everybody who does not know the key; and the key never leaves this process. So "equal hash" may be taken for "equal
 * page" (docs/decisions/0006-content-pre-copy.md). It runs at some 4 GB/s a core.
 */
import { randomFillSync } from 'node:crypto';
import { NH_WASM } from './nh.ts';

export const PAGE = 4096;
export const HASH_BYTES = 32;
/** Four passes, each with the key moved on by 16 bytes. */
const KEY_BYTES = PAGE + 3 * 16;
const WASM_PAGE = 65536;

export interface PageHasherOptions {
  /** How many buffers to make, and how many pages each holds. */
  buffers: number;
  pages: number;
}

/** nh.wat's; addresses are those of its memory. */
type Hash = (key: number, page: number, pages: number, to: number) => void;

export class PageHasher {
  /** Memory that can be hashed without a copy; whoever fills one owns it meanwhile. */
  readonly buffers: readonly Buffer[];
  readonly #memory: WebAssembly.Memory;
  readonly #hash: Hash;
  readonly #outAt: number;

  constructor({ buffers, pages }: PageHasherOptions) {
    this.#outAt = roundUp(KEY_BYTES, PAGE);
    const firstAt = this.#outAt + roundUp(pages * HASH_BYTES, PAGE);
    const size = firstAt + buffers * pages * PAGE;
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(size / WASM_PAGE) });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(NH_WASM), { env: { memory: this.#memory } });
    this.#hash = exports.hash as Hash;
    randomFillSync(Buffer.from(this.#memory.buffer, 0, KEY_BYTES));
    const at = (index: number) => firstAt + index * pages * PAGE;
    this.buffers = Array.from({ length: buffers }, (_, i) => Buffer.from(this.#memory.buffer, at(i), pages * PAGE));
  }

  /** Hashes of the first pages of one of the buffers, 32 bytes each; valid until the next call. */
  hash(buffer: Buffer, pages: number): Buffer {
    this.#hash(0, buffer.byteOffset, pages, this.#outAt);
    return Buffer.from(this.#memory.buffer, this.#outAt, pages * HASH_BYTES);
  }

  /** For tests. */
  get key(): Buffer {
    return Buffer.from(this.#memory.buffer, 0, KEY_BYTES);
  }
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
