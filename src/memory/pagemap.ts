/**
 * CRIU's pagemap images: which pages of a process are in its pages image, in that order. Two magics, then records of a
 * length (u32) and a protobuf message: one pagemap_head, and a pagemap_entry for each run of pages
 * (criu's images/pagemap.proto, criu/include/magic.h). The pages image is nothing but the pages that are `present`.
 */
import { PAGE } from './page-hash/page-hasher.ts';

export interface Pagemap {
  /** N of the pages-N.img that the pages are in. */
  pagesId: number;
  entries: PagemapEntry[];
}

export interface PagemapEntry {
  /** Number of the first page: its address by 4096, which is exact where the address would not be. */
  page: number;
  pages: number;
  flags: number;
}

export const PE_PARENT = 1;
export const PE_PRESENT = 4;

const COMMON_MAGIC = 0x54564319;
const PAGEMAP_MAGIC = 0x56084025;
const VARINT = 0;
const FIELD = { vaddr: 1, compatPages: 2, inParent: 3, flags: 4, pages: 5 } as const;

/** @throws Error where there is anything in it that is not understood. */
export function decodePagemap(image: Buffer): Pagemap {
  if (image.length < 8 || image.readUInt32LE(0) !== COMMON_MAGIC || image.readUInt32LE(4) !== PAGEMAP_MAGIC)
    throw new Error('not a pagemap image');
  const entries: PagemapEntry[] = [];
  let pagesId: number | undefined;
  for (let at = 8; at < image.length; ) {
    const end = at + 4 + image.readUInt32LE(at);
    if (end > image.length) throw new Error('a pagemap image that was cut short');
    const fields = readFields(image, at + 4, end);
    if (pagesId === undefined) pagesId = pagesIdOf(fields);
    else entries.push(entryOf(fields));
    at = end;
  }
  if (pagesId === undefined) throw new Error('a pagemap image without a head');
  return { pagesId, entries };
}

export function encodePagemap({ pagesId, entries }: Pagemap): Buffer {
  const writer = new Writer();
  writer.u32(COMMON_MAGIC);
  writer.u32(PAGEMAP_MAGIC);
  writer.record(() => writer.field(1, pagesId));
  for (const { page, pages, flags } of entries) {
    writer.record(() => {
      writer.field(FIELD.vaddr, page, PAGE);
      writer.field(FIELD.compatPages, pages);
      writer.field(FIELD.flags, flags);
      writer.field(FIELD.pages, pages);
    });
  }
  return writer.done();
}

/** By field number; each is a high and a low half of 32 bits. */
type Fields = Map<number, { high: number; low: number }>;

function readFields(image: Buffer, from: number, end: number): Fields {
  const fields: Fields = new Map();
  let at = from;
  const varint = () => {
    let [high, low] = [0, 0];
    for (let shift = 0; ; shift += 7) {
      const byte = at < end && shift < 64 ? (image[at++] as number) : Number.NaN;
      if (Number.isNaN(byte)) throw new Error('a number in a pagemap image that does not end');
      const bits = byte & 0x7f;
      if (shift < 32) low = (low | (bits << shift)) >>> 0;
      if (shift === 28) high = bits >>> 4;
      else if (shift > 28) high = (high | (bits << (shift - 32))) >>> 0;
      if (byte < 0x80) return { high, low };
    }
  };
  while (at < end) {
    const { low: key } = varint();
    if ((key & 7) !== VARINT) throw new Error(`a field of a pagemap image that is not known: ${key}`);
    fields.set(key >>> 3, varint());
  }
  return fields;
}

function pagesIdOf(fields: Fields): number {
  const id = fields.get(1);
  if (id === undefined || id.high !== 0 || fields.size > 1)
    throw new Error('a head of a pagemap image that is not known');
  return id.low;
}

function entryOf(fields: Fields): PagemapEntry {
  for (const number of fields.keys())
    if (number > FIELD.pages) throw new Error(`a pagemap entry with a field ${number}`);
  const vaddr = fields.get(FIELD.vaddr);
  // Older versions of CRIU write only the one or the other.
  const pages = fields.get(FIELD.pages) ?? fields.get(FIELD.compatPages);
  const flags = fields.get(FIELD.flags)?.low ?? PE_PRESENT;
  if (vaddr === undefined || pages === undefined || vaddr.low % PAGE !== 0 || fields.get(FIELD.inParent)?.low)
    throw new Error('a pagemap entry that is not known');
  return { page: vaddr.high * (2 ** 32 / PAGE) + vaddr.low / PAGE, pages: pages.high * 2 ** 32 + pages.low, flags };
}

class Writer {
  #buffer = Buffer.allocUnsafe(4096);
  #at = 0;

  u32(value: number): void {
    this.#room(4);
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
  }

  record(body: () => void): void {
    const start = this.#at;
    this.u32(0);
    body();
    this.#buffer.writeUInt32LE(this.#at - start - 4, start);
  }

  /** A varint of value * scale; scale is a power of two. */
  field(number: number, value: number, scale = 1): void {
    this.#room(16);
    this.#buffer[this.#at++] = (number << 3) | VARINT;
    let rest = BigInt(value) * BigInt(scale);
    for (; rest >= 0x80n; rest >>= 7n) this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80;
    this.#buffer[this.#at++] = Number(rest);
  }

  done(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
