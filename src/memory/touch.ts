/**
 * Memory that the freeze will take, touched before it. The hypervisor of a virtual machine takes back pages that nobody
 * uses (free page reporting, balloons), and the first write to one of them costs it a fault: 600 MB took 1.5 s in place
 * of 0.2 s on such a machine. Pages that were freed a moment ago are at hand.
 */
import { open, readFile, rm } from 'node:fs/promises';

const PIECE = Buffer.alloc(1 << 20);
/** Touching must push nobody out of memory, and is worth nothing where it would. */
const MARGIN = { factor: 3, bytes: 1 << 30 };

/** @param path of a file that is made on a tmpfs, and removed by `release` */
export class TouchedMemory {
  readonly #path: string;
  readonly #written: Promise<void>;
  #released = false;

  private constructor(path: string, bytes: number) {
    this.#path = path;
    this.#written = this.#write(bytes).catch(() => {}); // What is not touched now is touched later.
  }

  /** Begins at once, and goes on in the background. */
  static begin(path: string, bytes: number): TouchedMemory {
    return new TouchedMemory(path, bytes);
  }

  /** Frees it, for what is to take it within a second. */
  async release(): Promise<void> {
    this.#released = true;
    await this.#written;
    await rm(this.#path, { force: true });
  }

  async #write(bytes: number): Promise<void> {
    if ((await availableMemory()) < bytes * MARGIN.factor + MARGIN.bytes) return;
    const file = await open(this.#path, 'wx', 0o600);
    try {
      for (let written = 0; written < bytes && !this.#released; written += PIECE.length) await file.write(PIECE);
    } finally {
      await file.close();
    }
  }
}

async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
