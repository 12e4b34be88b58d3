/** The end of a copy's log: room that is kept for lines still to come, such that the file's size stays as it is. */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { fillerRecord, growRecord, type LogRecord, lastRecordStart, MAX_GROWTH, splitRecords } from './log-record.ts';

export interface TailPlace {
  path: string;
  /** Bytes in the file. */
  size: number;
  /** Bytes to keep free behind them. */
  reserve: number;
}

export interface LogTail {
  add(data: Buffer): void;
  /** All has been added. Returns the bytes that found no room, and which `docker logs` does not show. */
  finish(): number;
}

const BLANKS = Buffer.alloc(64 << 10, ' ');

/**
 * Room in a json-file log is blanks, which a JSON decoder passes over; behind the last newline, where they are no line
 * for `docker logs --tail`. What is too much is appended; it shows when the container is started the next time.
 */
export class JsonTail implements LogTail {
  readonly #path: string;
  readonly #until: number;
  #end: number;

  constructor({ path, size, reserve }: TailPlace) {
    this.#path = path;
    this.#end = size;
    this.#until = size + reserve;
    withFile(path, (fd) => {
      for (let at = size; at < this.#until; at += BLANKS.length) {
        writeAll(fd, BLANKS.subarray(0, Math.min(BLANKS.length, this.#until - at)), at);
      }
    });
  }

  add(data: Buffer): void {
    withFile(this.#path, (fd) => writeAll(fd, data, this.#end));
    this.#end += data.length;
  }

  finish(): number {
    return Math.max(0, this.#end - this.#until);
  }
}

/**
 * The local driver's records are protobuf messages between their lengths: room is a field in the last of them that the
 * driver does not know. So the last record is held back until all have come. What is too much is left out, whole
 * records at a time: a file that ends within a record is not read at all.
 */
export class LocalTail implements LogTail {
  readonly #path: string;
  readonly #start: number;
  readonly #until: number;
  readonly #parts: Buffer[];
  #length: number;

  constructor({ path, size, reserve }: TailPlace) {
    this.#path = path;
    this.#until = size + Math.min(reserve, MAX_GROWTH);
    const held = withFile(path, (fd) => {
      const start = lastRecordStart(fd, size);
      const bytes = Buffer.alloc(size - start);
      readSync(fd, bytes, 0, bytes.length, start);
      ftruncateSync(fd, this.#until);
      return bytes;
    });
    this.#start = size - held.length;
    this.#parts = [held];
    this.#length = held.length;
  }

  add(data: Buffer): void {
    // More than fits is counted only: what a peer sends must not fill our memory.
    if (this.#length <= this.#until - this.#start) this.#parts.push(Buffer.from(data));
    this.#length += data.length;
  }

  finish(): number {
    const room = this.#until - this.#start;
    const records = fitRecords(splitRecords(Buffer.concat(this.#parts)), room);
    const used = records.reduce((sum, record) => sum + record.length, 0);
    const last = records.at(-1);
    if (last !== undefined) records[records.length - 1] = growRecord(last, room - used);
    else if (room > 0) records.push(fillerRecord(room));
    withFile(this.#path, (fd) => writeAll(fd, Buffer.concat(records), this.#start));
    return this.#length - used;
  }
}

/** As many as fit such that what is left can be made part of the last one: nothing, or a tag and a length at least. */
function fitRecords(records: LogRecord[], room: number): LogRecord[] {
  let used = records.reduce((sum, record) => sum + record.length, 0);
  let count = records.length;
  while (count > 0 && (used > room || room - used === 1)) used -= (records[--count] as LogRecord).length;
  return records.slice(0, count);
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'r+');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, data: Buffer, position: number): void {
  for (let done = 0; done < data.length; ) done += writeSync(fd, data, done, data.length - done, position + done);
}
