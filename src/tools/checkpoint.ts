/** A dump by CRIU that waits for its word; and which CRIU of the host it is, for whoever comes after a crash. */
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../exec/run.ts';

export interface BeginCheckpoint {
  run: Run;
  criuPath: string;
  /** Where what goes as `criu` is put; must exist. */
  binDir: string;
  /** For a shell: whether CRIU's arguments are those of the dump. */
  isDump: string;
  /** Starts the `criu` of `binDir`, by whatever way; resolves when the dump is done. */
  start: (killed: AbortSignal) => Promise<void>;
}

const PID_FILE = 'criu.pid';
const WATCH_MS = 200;

interface Parts {
  fifo: number;
  ended: Promise<void>;
  killed: AbortController;
  criuPid: string;
}

/** A dump that is begun while the workload still runs: its CRIU waits until the workload is frozen. */
export class Checkpoint {
  /** Undefined once it has ended. */
  #fifo: number | undefined;
  /** How often in a row the watchdog did not find CRIU. */
  #missed = 0;
  readonly #ended: Promise<void>;
  readonly #killed: AbortController;
  readonly #criuPid: string;

  private constructor({ fifo, ended, killed, criuPid }: Parts) {
    this.#fifo = fifo;
    this.#killed = killed;
    this.#criuPid = criuPid;
    this.#ended = ended.then(
      () => this.#close(),
      (error: unknown) => {
        this.#close();
        throw error;
      },
    );
    this.#ended.catch(() => {});
  }

  static async begin({ run, criuPath, binDir, isDump, start }: BeginCheckpoint): Promise<Checkpoint> {
    const path = join(binDir, 'frozen');
    await run('mkfifo', ['-m', '600', path]);
    const wrapper = criuWrapper({ fifo: path, pidFile: join(binDir, PID_FILE), criuPath, isDump });
    await writeFile(join(binDir, 'criu'), wrapper, { mode: 0o700 });
    const killed = new AbortController();
    // For both ways: opening it waits for nobody, and when this process dies the other side reads an end of file.
    const fifo = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const ended = start(killed.signal);
    return new Checkpoint({ fifo, ended, killed, criuPid: join(binDir, PID_FILE) });
  }

  /**
   * Dumps the workload, and leaves it as it is. Its cgroup must be frozen by now: CRIU then leaves it so, and saves
   * its own freezer's waits in quanta of 100 ms.
   */
  async dump(): Promise<void> {
    this.#tell('go');
    const watchdog = setInterval(() => this.#watch(), WATCH_MS).unref();
    await this.#ended.finally(() => clearInterval(watchdog));
  }

  /** Ends a dump that has not begun; of one that has, waits for the end. */
  async abandon(): Promise<void> {
    this.#tell('abandon');
    await this.#ended.catch(() => {});
  }

  /**
   * A CRIU that was killed may leave a child behind, which sleeps for ever with CRIU's end of the socket to runc open
   * (kerndat.c tries what the kernel can do with such children): runc would wait for it as long.
   */
  #watch(): void {
    const pid = begunCriu(this.#criuPid);
    if (pid === undefined || isCriu(pid)) this.#missed = 0;
    else if (++this.#missed > 5) this.#killed.abort(new Error('CRIU was killed.'));
  }

  #tell(word: string): void {
    if (this.#fifo !== undefined) writeSync(this.#fifo, `${word}\n`);
  }

  #close(): void {
    if (this.#fifo !== undefined) closeSync(this.#fifo);
    this.#fifo = undefined;
  }
}

/** Pid of the CRIU of a `Checkpoint` with that directory; undefined where it has not begun, or is gone. */
export function dumpingCriu(binDir: string): number | undefined {
  const pid = begunCriu(join(binDir, PID_FILE));
  return pid !== undefined && isCriu(pid) ? pid : undefined;
}

/** Not another process that got its pid. */
function isCriu(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'criu';
  } catch {
    return false;
  }
}

/** What the wrapper wrote before it became CRIU; undefined so far. */
function begunCriu(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) || undefined : undefined;
}

interface Wrapper {
  fifo: string;
  pidFile: string;
  criuPath: string;
  isDump: string;
}

function criuWrapper({ fifo, pidFile, criuPath, isDump }: Wrapper): string {
  return `#!/bin/sh
if ${isDump}; then
  read -r word <${fifo} && [ "$word" = go ] || exit 1
  echo $$ >${pidFile}
fi
exec ${criuPath} "$@"
`;
}
