/**
 * CRIU that is started early, and waits for its word at a file that it reads before it does anything: a fifo is in that
 * file's place. Its own start, 5 ms and more, is over by then.
 */
import { closeSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../exec/run.ts';
import { openWhereRead } from './fifo.ts';

/** Longer than this nothing goes through a fifo at once (PIPE_BUF). */
export const GATE_BYTES = 4096;
const MOST_POLLS_MS = 20;
const LINGER_MS = 2000;

export class Gate {
  readonly #path: string;
  #fd: number | undefined;
  #isOver = false;
  #isShut = false;
  /** Whether CRIU has come to it; false where it was shut before that, some time after it is over. */
  readonly reached: Promise<boolean>;

  private constructor(path: string) {
    this.#path = path;
    this.reached = this.#wait();
  }

  /** @param path of the file; nothing is there */
  static async make(path: string, run: Run): Promise<Gate> {
    await run('mkfifo', ['-m', '600', path]);
    return new Gate(path);
  }

  /** CRIU goes on, with this for what it reads. What goes wrong its end tells. */
  pass(content: Buffer): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    try {
      writeSync(fd, content);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    } finally {
      closeSync(fd);
    }
  }

  /**
   * CRIU reads nothing, also where it comes later, and gives up. It does as well where this process ends; if it has not
   * come by then, it waits for whoever opens the file next.
   */
  shut(): void {
    this.#isShut = true;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Whoever started CRIU has ended. One that was on its way may still come. */
  over(): void {
    this.shut();
    const end = () => {
      this.#isOver = true;
    };
    setTimeout(end, LINGER_MS).unref();
  }

  /** There is no other end until somebody has opened that. */
  async #wait(): Promise<boolean> {
    for (let pollMs = 1; !this.#isOver; pollMs = Math.min(pollMs * 1.02, MOST_POLLS_MS)) {
      const fd = tryOpen(this.#path);
      if (fd !== undefined) {
        if (this.#isShut) closeSync(fd);
        else this.#fd = fd;
        return !this.#isShut;
      }
      await sleep(pollMs, undefined, { ref: false });
    }
    return false;
  }
}

/** Whatever it is that fails may be over in a moment. */
function tryOpen(path: string): number | undefined {
  try {
    return openWhereRead(path);
  } catch {
    return undefined;
  }
}
