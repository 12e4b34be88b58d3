/** runc: what drayage asks of it. */
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../exec/run.ts';
import { DIRECTORIES } from './find-program.ts';

export interface CheckpointOptions {
  run: Run;
  /** `--root` of the engine's runc state. */
  root: string;
  containerId: string;
  /** Where CRIU writes its images and logs; must exist. */
  imagesDir: string;
  workDir: string;
  /** CRIU's configuration file, for options that runc has no flag for. */
  criuConfig: string;
  criuPath: string;
  /** Programs that runc and CRIU are to find before the host's; must exist. */
  binDir: string;
}

const PID_FILE = 'criu.pid';
const WATCH_MS = 200;

interface Parts {
  fifo: number;
  ended: Promise<void>;
  killed: AbortController;
  criuPid: string;
}

/**
 * A dump of a container: runc is started while the workload still runs, and what it starts as `criu` waits until the
 * workload is frozen. So runc's own start and its question after CRIU's version, 40 ms here, are not in the freeze.
 */
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

  static async begin(options: CheckpointOptions): Promise<Checkpoint> {
    const { run, criuPath, binDir } = options;
    const path = join(binDir, 'frozen');
    await run('mkfifo', ['-m', '600', path]);
    await writeFile(join(binDir, 'criu'), criuWrapper({ fifo: path, pidFile: join(binDir, PID_FILE), criuPath }), {
      mode: 0o700,
    });
    const killed = new AbortController();
    // For both ways: opening it waits for nobody, and when this process dies the other side reads an end of file.
    const fifo = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const ended = checkpoint({ ...options, signal: killed.signal });
    return new Checkpoint({ fifo, ended, killed, criuPid: join(binDir, PID_FILE) });
  }

  /**
   * Dumps the container, and leaves it as it is. Its cgroup must be frozen by now: CRIU then leaves it so, and saves
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

/** runc's dump of a container. */
export async function checkpoint({
  run,
  root,
  containerId,
  imagesDir,
  workDir,
  criuConfig,
  binDir,
  signal,
}: Omit<CheckpointOptions, 'criuPath'> & { signal?: AbortSignal }): Promise<void> {
  await run(
    'runc',
    [
      ...['--root', root, 'checkpoint', '--leave-running', '--image-path', imagesDir, '--work-path', workDir],
      ...['--manage-cgroups-mode', 'soft', '--file-locks', '--tcp-established', containerId],
    ],
    {
      env: { CRIU_CONFIG_FILE: criuConfig, PATH: [binDir, ...DIRECTORIES].join(':') },
      ...(signal === undefined ? {} : { signal }),
    },
  );
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

// runc asks CRIU for its version first, on an inherited descriptor above 3; the dump itself comes on descriptor 3.
function criuWrapper({ fifo, pidFile, criuPath }: { fifo: string; pidFile: string; criuPath: string }): string {
  return `#!/bin/sh
if [ "$1 $2" = "swrk 3" ]; then
  read -r word <${fifo} && [ "$word" = go ] || exit 1
  echo $$ >${pidFile}
fi
exec ${criuPath} "$@"
`;
}

/**
 * Where the container's standard streams lead, as runc noted it at the start, e.g. `["/dev/null","pipe:[1]","pipe:[2]"]`.
 * A restore needs it to give those pipes new ends.
 */
export async function externalDescriptors(root: string, containerId: string): Promise<string[]> {
  const state: { external_descriptors?: string[] } = JSON.parse(
    await readFile(join(root, containerId, 'state.json'), 'utf8'),
  );
  return state.external_descriptors ?? [];
}
