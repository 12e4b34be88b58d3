/**
 * Compression and digests of pieces, on threads of their own: both take longer than all else that is done with a piece,
 * and the agent's own thread has other things to do.
 */
import { hash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CHUNK } from './layout.ts';

export interface Packed {
  bytes: Buffer;
  /** SHA-256 of them, in hex. */
  digest: string;
}

/** Why a piece could not be opened. */
export type Refusal = 'digest' | 'content';

interface Answer {
  id: number;
  bytes?: Uint8Array;
  /** Of the packed piece, where that is in the memory that was given for it. */
  length?: number;
  digest?: string;
  refused?: Refusal;
  /** Why the file could not be read. */
  failure?: Pick<NodeJS.ErrnoException, 'message' | 'code' | 'syscall'>;
}

/** Bytes of memory for a piece, packed: what does not get shorter becomes a little longer. */
export const PACKED = CHUNK + (64 << 10);

/** Bytes of a piece that is done sooner than handed to a thread. */
export const SMALL = 64 << 10;

/** A packed piece: in memory, which is free when it has been opened, or in a file. */
export interface Piece {
  from: Buffer<SharedArrayBuffer> | { fd: number; position: number; length: number };
  free?: () => void;
}

interface Job {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

/**
 * Pieces that are worked on at once. zstd's own threads (ZSTD_c_nbWorkers) are no way: a stream of Node 24 then pushes
 * after its end.
 */
export const AT_ONCE = 4;

/** To be disposed of when nothing is under way any more; what is then, fails. */
export class ChunkThreads implements Disposable {
  readonly #threads = new Map<number, Worker>();
  readonly #jobs = new Map<number, Job>();
  #last = 0;

  /**
   * Memory is shared and used again: with 4 MiB more for every piece the agent did little but collect its garbage.
   * @param into of PACKED bytes; what comes of it is in there, or in memory of its own
   */
  async pack(piece: SharedArrayBuffer, length: number, into: SharedArrayBuffer): Promise<Packed> {
    if (length < SMALL) {
      const packed = zstdCompressSync(new Uint8Array(piece, 0, length), { ...OPTIONS.pack, chunkSize: 2 * SMALL });
      return { bytes: packed, digest: hash('sha256', packed) };
    }
    const { length: packed, digest } = await this.#do({ kind: 'pack', raw: piece, length, into });
    return { bytes: Buffer.from(into, 0, packed), digest: digest as string };
  }

  /**
   * Checks a piece, and decompresses it where it is wanted.
   * @returns undefined where it was not wanted
   * @throws where its file cannot be read
   */
  async open({ from, free }: Piece, digest: string, wanted: boolean): Promise<Buffer | undefined | Refusal> {
    const { bytes, refused } = await this.#do({ kind: 'open', from, digest, wanted });
    free?.();
    return refused ?? (wanted ? bufferOf(bytes) : undefined);
  }

  [Symbol.dispose](): void {
    for (const thread of this.#threads.values()) void thread.terminate();
    this.#threads.clear();
    this.#fail(new Error('The archive is not worked on any more.'));
  }

  #do(task: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#jobs.set(id, { resolve, reject });
      const thread = this.#thread(id);
      thread.ref();
      thread.postMessage({ id, ...task });
    });
  }

  /** In turn: all pieces take alike. They are begun when there is something to do. */
  #thread(id: number): Worker {
    const index = id % Math.min(AT_ONCE, availableParallelism());
    const thread = this.#threads.get(index) ?? this.#begin();
    this.#threads.set(index, thread);
    return thread;
  }

  #begin(): Worker {
    const thread = new Worker(SCRIPT, { eval: true, workerData: OPTIONS });
    thread.on('message', (answer: Answer) => {
      const job = this.#jobs.get(answer.id);
      this.#jobs.delete(answer.id);
      // They keep the program going only while somebody waits for them.
      if (this.#jobs.size === 0) for (const idle of this.#threads.values()) idle.unref();
      if (answer.failure === undefined) job?.resolve(answer);
      else job?.reject(Object.assign(new Error(answer.failure.message), answer.failure));
    });
    thread.on('error', (error: Error) => this.#fail(error));
    return thread;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#jobs.values()) reject(error);
    this.#jobs.clear();
  }
}

/** As `open` does, of what is too little for a thread. */
export function openHere(stored: Buffer, digest: string, wanted: boolean): Buffer | undefined | Refusal {
  if (hash('sha256', stored) !== digest) return 'digest';
  if (!wanted) return undefined;
  try {
    return zstdDecompressSync(stored, OPTIONS.open);
  } catch {
    return 'content';
  }
}

function bufferOf(bytes: Uint8Array | undefined): Buffer {
  return bytes === undefined ? Buffer.alloc(0) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `chunkSize` is room for all that comes of a piece: in Node's 16 KiB at a time it takes three times as long. */
const OPTIONS = {
  pack: packing(1, PACKED),
  /** Whether a piece is such is told by so many samples of so many bytes. */
  samples: { count: 8, bytes: 8 << 10, ...packing(1, 128 << 10) },
  open: { chunkSize: CHUNK, maxOutputLength: CHUNK },
};

function packing(level: number, chunkSize: number) {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = constants;
  return { chunkSize, params: { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 } };
}

/** As text: the program is one file, and a thread needs one of its own otherwise. */
const SCRIPT = `
const { hash } = require('node:crypto');
const { readSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const { zstdCompressSync, zstdDecompressSync } = require('node:zlib');
const { samples } = workerData;
const sample = Buffer.alloc(samples.count * samples.bytes);
function isDense(piece) {
  if (piece.length < 4 * sample.length) return false;
  const step = Math.floor(piece.length / samples.count);
  for (let i = 0; i < samples.count; i++) sample.set(piece.subarray(i * step, i * step + samples.bytes), i * samples.bytes);
  return zstdCompressSync(sample, samples).length > 0.98 * sample.length;
}
const whole = ({ buffer, byteLength }) => byteLength > 65536 ? [buffer] : [];
// A frame of blocks as they are (RFC 8878, 3.1.1: its length in four bytes, no checksum): what does not get shorter is
// not searched for what repeats.
const RAW_BLOCK = 128 << 10;
function frame(piece, into) {
  into.writeUInt32LE(0xfd2fb528, 0);
  into.writeUInt8(0xa0, 4);
  into.writeUInt32LE(piece.length, 5);
  let at = 9;
  for (let from = 0; from < piece.length; from += RAW_BLOCK) {
    const block = piece.subarray(from, from + RAW_BLOCK);
    const isLast = from + block.length === piece.length;
    into.writeUIntLE(block.length * 8 + (isLast ? 1 : 0), at, 3);
    into.set(block, at + 3);
    at += 3 + block.length;
  }
  return at;
}
function pack(piece, into) {
  if (isDense(piece)) return frame(piece, into);
  const bytes = zstdCompressSync(piece, workerData.pack);
  into.set(bytes);
  return bytes.length;
}
let room = Buffer.alloc(0);
function read({ fd, position, length }) {
  if (room.length < length) room = Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < length; ) {
    const count = readSync(fd, room, at, length - at, position + at);
    if (count === 0) return room.subarray(0, at);
    at += count;
  }
  return room.subarray(0, length);
}
function open(stored, digest, wanted) {
  if (hash('sha256', stored) !== digest) return { refused: 'digest' };
  if (!wanted) return {};
  try {
    return { bytes: zstdDecompressSync(stored, workerData.open) };
  } catch {
    return { refused: 'content' };
  }
}
parentPort.on('message', ({ id, kind, raw, length, into, from, digest, wanted }) => {
  if (kind === 'pack') {
    const packed = pack(new Uint8Array(raw, 0, length), Buffer.from(into));
    parentPort.postMessage({ id, length: packed, digest: hash('sha256', Buffer.from(into, 0, packed)) });
    return;
  }
  try {
    const answer = open('fd' in from ? read(from) : from, digest, wanted);
    parentPort.postMessage({ id, ...answer }, answer.bytes ? whole(answer.bytes) : []);
  } catch ({ message, code, syscall }) {
    parentPort.postMessage({ id, failure: { message, code, syscall } });
  }
});
`;
