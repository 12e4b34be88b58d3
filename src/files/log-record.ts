/**
 * Records of Docker's `local` log driver (moby, daemon/logger/local): a length as 32 bits big-endian, a protobuf
 * message (api/types/plugins/logdriver/entry.proto), the length again.
 */
import { readSync } from 'node:fs';

export type LogRecord = Buffer;

const LENGTH = 4;
/** The driver refuses longer messages (maxMsgLen, 1e6); lines are cut at 16 KiB, so a grown record stays below. */
export const MAX_GROWTH = 768 << 10;
/** A field of number 15 and of bytes; the driver's message has no field beyond 6. */
const FILLER_TAG = 0x7a;
/** A length in five bytes, whatever it is. Up to 127 one byte serves. */
const LONG_VARINT = 5;

/** The whole records at the start of `bytes`. */
export function splitRecords(bytes: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  for (let at = 0; at + LENGTH <= bytes.length; ) {
    const end = at + LENGTH + bytes.readUInt32BE(at) + LENGTH;
    if (end > bytes.length) break;
    records.push(bytes.subarray(at, end));
    at = end;
  }
  return records;
}

/** Where the last record of a file begins, or what there is of it; `size` where the file is empty. */
export function lastRecordStart(fd: number, size: number): number {
  if (size >= 2 * LENGTH) {
    const start = size - 2 * LENGTH - lengthAt(fd, size - LENGTH);
    if (start >= 0 && lengthAt(fd, start) === size - start - 2 * LENGTH) return start;
  }
  // It was being written when it was read: only from the front can it be told where it begins.
  let start = 0;
  while (start + LENGTH <= size) {
    const next = start + 2 * LENGTH + lengthAt(fd, start);
    if (next > size) break;
    start = next;
  }
  return Math.min(start, size);
}

/** The same message in a record that is longer by 0, or by 2 bytes and more. */
export function growRecord(record: LogRecord, by: number): LogRecord {
  if (by === 0) return record;
  return recordOf(Buffer.concat([record.subarray(LENGTH, -LENGTH), filler(by)]));
}

/** A record of so many bytes, 10 or more, that nobody sees: it is from neither stdout nor stderr. */
export function fillerRecord(length: number): LogRecord {
  return recordOf(filler(length - 2 * LENGTH));
}

function recordOf(message: Buffer): LogRecord {
  const length = Buffer.alloc(LENGTH);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message, length]);
}

function filler(bytes: number): Buffer {
  const field = Buffer.alloc(bytes);
  field[0] = FILLER_TAG;
  if (bytes - 2 < 0x80) {
    field[1] = bytes - 2;
    return field;
  }
  const content = bytes - 1 - LONG_VARINT;
  for (let i = 0; i < LONG_VARINT; i++) {
    const more = i < LONG_VARINT - 1 ? 0x80 : 0;
    field[1 + i] = ((content >>> (7 * i)) & 0x7f) | more;
  }
  return field;
}

function lengthAt(fd: number, position: number): number {
  const bytes = Buffer.alloc(LENGTH);
  return readSync(fd, bytes, 0, LENGTH, position) === LENGTH ? bytes.readUInt32BE() : Number.POSITIVE_INFINITY;
}
