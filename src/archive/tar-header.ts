/** Headers of the tar that an archive is: POSIX.1-2017, pax, "ustar Interchange Format". */
import { BLOCK, damaged } from './layout.ts';

export interface TarHeader {
  name: string;
  /** Bytes of what follows, without padding. */
  size: number;
  /** A record is what pax has to say of the entry behind it. */
  type: 'file' | 'record';
}

/** Offsets and lengths. */
const FIELDS = { name: [0, 100], size: [124, 12], checksum: [148, 8], type: [156, 1], magic: [257, 6] } as const;
const TYPES: Readonly<Record<string, TarHeader['type']>> = { '0': 'file', x: 'record' };
const ZEROS = Buffer.alloc(BLOCK);

/** @returns undefined for a block of zeros, as a tar ends with. @throws DrayageError ARCHIVE_DAMAGED */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (block.equals(ZEROS)) return undefined;
  const field = ([at, length]: readonly [number, number]): string =>
    (block.toString('latin1', at, at + length).split('\0', 1)[0] as string).trim();
  const [at, length] = FIELDS.checksum;
  const sum = block.reduce((all, byte, i) => all + (i >= at && i < at + length ? 0x20 : byte), 0);
  const [name, type] = [field(FIELDS.name), TYPES[field(FIELDS.type)]];
  const [size, checksum] = [FIELDS.size, FIELDS.checksum].map((one) => octal(field(one)));
  if (field(FIELDS.magic) !== 'ustar' || type === undefined || size === undefined || checksum !== sum)
    throw damaged('it cannot be read as a tar');
  return { name, size, type };
}

/** Bytes that content of this size takes. */
export function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

function octal(text: string): number | undefined {
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}
