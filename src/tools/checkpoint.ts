/** A dump by CRIU that waits for its word; and which CRIU of the host it is, for whoever comes after a crash. */
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { Gate } from './criu-gate.ts';

export interface BeginCheckpoint {
  run: Run;
  criuPath: string;
  /** CRIU's work directory; must exist. */
  workDir: string;
  /** Where what goes as `criu` is put; must exist. */
  binDir: string;
  /** For a shell: whether CRIU's arguments are those of the dump. */
  isDump: string;
  /** Starts the `criu` of `binDir`, by whatever way; resolves when the dump is done. */
  start: (killed: AbortSignal) => Promise<void>;
}

const PID_FILE = 'criu.pid';
const WATCH_MS = 200;
/** Many times what an engine's runtime and CRIU take to come there. */
const BEGIN_MS = 30_000;

/** A cache of inotify watches that CRIU looks for in its work directory before it stops anything (criu/cr-dump.c). */
const IRMAP_CACHE = 'irmap-cache';
/** An empty one: IMG_SERVICE_MAGIC and IRMAP_CACHE_MAGIC (criu/include/magic.h). */
const EMPTY_CACHE = Buffer.from('4059105559400057', 'hex');

interface Parts {
  gate: Gate;
  ended: Promise<void>;
  killed: AbortController;
  criuPid: string;
}

/** A dump that is begun while the workload still runs: its CRIU waits until the workload is frozen. */
export class Checkpoint {
  readonly #gate: Gate;
  /** How often in a row the watchdog did not find CRIU. */
  #missed = 0;
  readonly #ended: Promise<void>;
  readonly #killed: AbortController;
  readonly #criuPid: string;

  private constructor({ gate, ended, killed, criuPid }: Parts) {
    this.#gate = gate;
    this.#killed = killed;
    this.#criuPid = criuPid;
    const watchdog = setInterval(() => this.#watch(), WATCH_MS).unref();
    this.#ended = ended.finally(() => {
      clearInterval(watchdog);
      gate.over();
    });
    this.#ended.catch(() => {});
  }

  /**
   * Resolves when CRIU waits; one that ends before is told of by `dump`.
   * @throws DrayageError DUMP_FAILED where it comes to nothing
   */
  static async begin({ run, criuPath, workDir, binDir, isDump, start }: BeginCheckpoint): Promise<Checkpoint> {
    const wrapper = criuWrapper({ pidFile: join(binDir, PID_FILE), criuPath, isDump });
    await writeFile(join(binDir, 'criu'), wrapper, { mode: 0o700 });
    const gate = await Gate.make(join(workDir, IRMAP_CACHE), run);
    const killed = new AbortController();
    const ended = start(killed.signal);
    const checkpoint = new Checkpoint({ gate, ended, killed, criuPid: join(binDir, PID_FILE) });
    const late = sleep(BEGIN_MS, 'late' as const, { ref: false });
    if ((await Promise.race([gate.reached, checkpoint.#ended.catch(() => {}), late])) !== 'late') return checkpoint;
    killed.abort(new Error('CRIU did not begin.'));
    await checkpoint.abandon();
    throw new DrayageError('DUMP_FAILED', `CRIU did not begin within ${BEGIN_MS / 1000} s.`);
  }

  /**
   * Dumps the workload, and leaves it as it is. Its cgroup must be frozen by now: CRIU then leaves it so, and saves
   * its own freezer's waits in quanta of 100 ms.
   */
  async dump(): Promise<void> {
    // Of a CRIU that does not look for the cache the dump would be older than the freeze.
    if (!(await Promise.race([this.#gate.reached, this.#ended]))) throw new Error('CRIU did not wait for the freeze.');
    this.#gate.pass(EMPTY_CACHE);
    await this.#ended;
  }

  /** Ends a dump that has not begun; of one that has, waits for the end. */
  async abandon(): Promise<void> {
    this.#gate.shut();
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
  pidFile: string;
  criuPath: string;
  isDump: string;
}

/**
 * While CRIU's code is being put into a process, or taken out of it, the process ends with CRIU: a host that runs out of
 * memory is to end others first, where root may say so.
 */
function criuWrapper({ pidFile, criuPath, isDump }: Wrapper): string {
  return `#!/bin/sh
if ${isDump}; then echo $$ >${pidFile}; { echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null || :; fi
exec ${criuPath} "$@"
`;
}
