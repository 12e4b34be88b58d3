/**
 * The meeting place of the agent and the runtime shim (shim/drayage-runc) on the target: a directory of fifos and
 * small scripts for one container that is about to be restored. Steps, each told by a line in the fifo `events`:
 *
 *   waiting   runc is set up and waits for the memory images     (the source may still run)
 *   created   the namespaces exist, the engine wires the network
 *   wired     it has
 *   ready     everything is restored, nothing has run yet        (the GO is awaited)
 *   resumed   the workload runs
 *   status N  runc restore has ended
 *
 * The agent holds every fifo open for reading and writing, so neither side blocks while it lives; when it dies the
 * scripts read an end of file, which is an abort. CRIU of a tree of processes waits for the images itself, at the first
 * of them (criu-gate.ts).
 */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdir, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { DrayageError } from '../../errors.ts';
import type { Run } from '../../exec/run.ts';
import { GATE_BYTES, Gate } from '../../tools/criu-gate.ts';
import { placeTar } from '../../tools/criu-tar.ts';
import { inNetworkOf } from '../../tools/nsenter.ts';
import { unmountBelow } from '../../tools/tmpfs.ts';
import { hasEnded } from '../processes/state.ts';
import { actionScript, NETWORK_LOCK } from './action-script.ts';
import { containerProcesses, killContainerProcesses } from './container-processes.ts';

const RESTORE_DIR = '/run/drayage/restore';

export type RestoreStep = 'waiting' | 'created' | 'wired' | 'ready' | 'resumed' | 'ended';

const WATCH_MS = 200;
const WATCH_AFTER_GO_MS = 5;
const COMMANDS = ['go', 'start', 'commit', 'wake'] as const;

/** The image that CRIU reads first (criu/cr-restore.c, cr_restore_tasks): a gate is in its place. */
export const INVENTORY = 'inventory.img';
/** What it is called until all the others are there. */
export const HELD_INVENTORY = 'inventory.held';

export interface RendezvousOptions {
  containerId: string;
  /** Directory that will hold the memory images; must exist. */
  imagesDir: string;
  criuPath: string;
  /** Lines of CRIU's configuration file besides the action script. */
  criuOptions: readonly string[];
  /** For nft in the copy's network namespace, before there is anything in it. */
  rules?: string;
  run: Run;
  /** Default: those of a restore by runc. */
  scripts?: RestoreScripts;
}

/** What runs in a restore, given the rendezvous' directory; see actionScript for the lines that they owe the agent. */
export interface RestoreScripts {
  /** CRIU's action script. */
  action: (dir: string) => string;
  /** What says that it is there and becomes CRIU: `bin/criu`. */
  criu: (dir: string, criuPath: string) => string;
  /** It waits for the images itself, by `go`: CRIU cannot be started before they are there. */
  startsLate?: boolean;
}

/** One restore, from the engine's `create` to its end. */
export class Rendezvous {
  readonly dir: string;
  /** Where CRIU waits for the images; undefined where it is started late. */
  readonly #gate: Gate | undefined;
  /** When each step was reached, by performance.now(). */
  readonly reached = new Map<RestoreStep, number>();
  /** Exit status of `runc restore` once it has ended. */
  status: number | undefined;
  #fds: Record<string, number>;
  readonly #events: Socket;
  #watchdog: NodeJS.Timeout | undefined;
  #criuPid: number | undefined;
  readonly #waiters: { step: RestoreStep; resolve: (reached: boolean) => void }[] = [];

  private constructor(dir: string, gate: Gate | undefined) {
    this.dir = dir;
    this.#gate = gate;
    this.#fds = openCommands(dir);
    this.#events = new Socket({ fd: openFifo(join(dir, 'events')), readable: true, writable: false });
    this.#events.on('error', () => {});
    createInterface(this.#events).on('line', (line) => this.#onLine(line));
  }

  /** Lays the directory out. From now on the engine's start of this container is a restore. */
  static async open({
    containerId,
    imagesDir,
    criuPath,
    criuOptions,
    rules = '',
    run,
    scripts = { action: actionScript, criu: criuWrapper, startsLate: true },
  }: RendezvousOptions): Promise<Rendezvous> {
    const dir = join(RESTORE_DIR, containerId);
    // Whole or not at all: the shim and a recovery go by whether the directory is there.
    const draft = draftOf(dir);
    await rm(draft, { recursive: true, force: true });
    await mkdir(join(draft, 'bin'), { recursive: true, mode: 0o700 });
    await placeTar(join(draft, 'bin'));
    await mkdir(join(draft, 'work'), { mode: 0o700 });
    await run('mkfifo', ['-m', '600', ...[...COMMANDS, 'events'].map((name) => join(draft, name))]);
    await symlink(imagesDir, join(draft, 'images'));
    await writeFile(join(draft, 'criu.conf'), [`action-script ${dir}/action`, ...criuOptions, ''].join('\n'));
    await writeFile(join(draft, 'rules'), rules);
    await writeFile(join(draft, 'action'), scripts.action(dir), { mode: 0o700 });
    await writeFile(join(draft, 'bin/criu'), scripts.criu(dir, criuPath), { mode: 0o700 });
    await rename(draft, dir);
    const gate = scripts.startsLate ? undefined : await Gate.make(join(imagesDir, INVENTORY), run);
    return new Rendezvous(dir, gate);
  }

  /** Whether the step was reached; false where the restore ended before it. */
  until(step: RestoreStep, signal?: AbortSignal): Promise<boolean> {
    if (this.reached.has(step)) return Promise.resolve(true);
    if (this.reached.has('ended')) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#waiters.push({ step, resolve });
    });
  }

  /**
   * The images are complete: CRIU may begin.
   * @param addresses of the workload; those that the engine does not give the copy are added
   * @throws DrayageError PROTOCOL where they have no inventory
   */
  giveImages(addresses: readonly string[] = []): void {
    writeFileSync(join(this.dir, 'addresses'), addresses.map((address) => `${address}\n`).join(''));
    const images = join(this.dir, 'images');
    const inventory = heldInventory(images);
    if (this.#gate !== undefined) {
      this.#gate.pass(inventory);
      return;
    }
    renameSync(join(images, HELD_INVENTORY), join(images, INVENTORY));
    this.#write('go', 'go');
  }

  /** Of the copy's init process, as this host sees it; from the step `created` on. */
  initPid(): number {
    return Number(readFileSync(join(this.dir, 'initpid'), 'utf8'));
  }

  /** All is restored: from now on the workload's kernel may send, as far as the host lets it. */
  async unlockNetwork(run: Run): Promise<void> {
    await inNetworkOf(this.initPid(), run)('nft', ['delete', 'table', 'inet', NETWORK_LOCK], { timeoutMs: 20_000 });
  }

  /** The commit record is on disk: the workload may run. */
  giveCommit(): void {
    // From now on a CRIU that was killed has let the tasks go, or will never: look closely, so that it is known which.
    if (this.#criuPid !== undefined) this.#watchEvery(WATCH_AFTER_GO_MS);
    this.#write('commit', 'go');
  }

  /** After the GO: whether the workload runs; false where CRIU ended before it let any task go. */
  async hasResumed(): Promise<boolean> {
    if ((await this.until('resumed')) || this.status === 0) return true;
    return isResuming(this.dir) && (await containerProcesses(basename(this.dir))).length > 0;
  }

  /** Whatever waits gives up; CRIU kills what it restored so far. */
  abort(): void {
    this.#gate?.shut();
    for (const fifo of COMMANDS) this.#write(fifo, 'abort');
  }

  /** Text of CRIU's log of this restore, or what runc said where there is none. */
  async log(): Promise<string> {
    for (const file of ['work/restore.log', 'runc.log']) {
      const text = await readFile(join(this.dir, file), 'utf8').catch(() => '');
      if (text.trim() !== '') return text;
    }
    return '';
  }

  /** Lets go of the fifos; the directory is removed by `removeRendezvous`. */
  close(): void {
    clearInterval(this.#watchdog);
    this.#gate?.over();
    this.#events.destroy();
    // Once only: by a second time the numbers may be those of other files.
    for (const fd of Object.values(this.#fds)) closeSync(fd);
    this.#fds = {};
  }

  #watchEvery(ms: number): void {
    clearInterval(this.#watchdog);
    this.#watchdog = setInterval(() => this.#watch(), ms).unref();
  }

  /** A CRIU that was killed leaves children behind, and runc waits for them for ever. */
  #watch(): void {
    if (this.#criuPid === undefined || !hasEnded(this.#criuPid)) return;
    clearInterval(this.#watchdog);
    // It may have ended well, and the line that says so not been read yet: the file is there before CRIU ends.
    if (isResuming(this.dir)) this.#reach('resumed');
    else void killContainerProcesses(basename(this.dir)).catch(() => {});
  }

  #write(fifo: (typeof COMMANDS)[number], word: string): void {
    const fd = this.#fds[fifo];
    if (fd !== undefined) writeSync(fd, `${word}\n`);
  }

  #onLine(line: string): void {
    const [word, number] = line.split(' ');
    const step = word === 'status' ? 'ended' : (word as RestoreStep);
    if (step === 'ended') this.status = Number(number);
    if (step === 'waiting') {
      this.#criuPid = Number(number);
      this.#watchEvery(WATCH_MS);
      if (this.#gate !== undefined) {
        void this.#gate.reached.then((isReached) => isReached && this.#reach(step));
        return;
      }
    }
    if (step === 'ended') this.#gate?.over();
    this.#reach(step);
  }

  #reach(step: RestoreStep): void {
    if (step === 'resumed' || step === 'ended') clearInterval(this.#watchdog);
    this.reached.set(step, performance.now());
    for (const waiter of [...this.#waiters]) {
      if (waiter.step !== step && step !== 'ended') continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve(waiter.step === step);
    }
  }
}

function heldInventory(imagesDir: string): Buffer {
  const path = join(imagesDir, HELD_INVENTORY);
  const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 };
  if (size > 0 && size <= GATE_BYTES) return readFileSync(path);
  throw new DrayageError('PROTOCOL', `The memory images have no inventory that CRIU could read (${size} bytes).`);
}

/** Breaks a rendezvous that a crashed agent left: unblocks whatever still waits there, with an abort. */
export async function abortLeftRendezvous(containerId: string): Promise<void> {
  const dir = join(RESTORE_DIR, containerId);
  if (!existsSync(dir)) return;
  const gate = join(dir, 'images', INVENTORY);
  const fds = [...Object.values(openCommands(dir)), ...(isFifo(gate) ? [openFifo(gate)] : [])];
  for (const fd of fds) writeSync(fd, 'abort\n');
  await new Promise((resolve) => setTimeout(resolve, 200)); // Until the waiting scripts have read it.
  for (const fd of fds) closeSync(fd);
}

/** What became of a restore whose agent crashed: whether the copy may have run. */
export type LeftRestore = 'never-ran' | 'ran' | 'unknown';

/**
 * Reads what the scripts left, waiting for a restore that is in its last steps. To be called after
 * `abortLeftRendezvous`, so that nothing waits for a GO any more. `unknown` where the host was restarted meanwhile.
 */
export async function leftRestore(containerId: string): Promise<LeftRestore> {
  const dir = join(RESTORE_DIR, containerId);
  if (!existsSync(dir)) return 'unknown';
  // Only one can make this file: once we have, a script that has read the GO and not gone on yet gives up.
  if (await make(join(dir, 'taken'))) return 'never-ran';
  for (let patience = 500; patience > 0; patience--) {
    if (existsSync(join(dir, 'resumed')) || isResuming(dir)) return 'ran';
    const status = await readFile(join(dir, 'status'), 'utf8').catch(() => undefined);
    if (status !== undefined) return status.trim() === '0' ? 'ran' : 'never-ran';
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return 'unknown';
}

/** False where it was there already. */
async function make(path: string): Promise<boolean> {
  const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  await file?.close();
  return file !== undefined;
}

/**
 * CRIU has come to letting the tasks go. It holds them by ptrace until then, and nothing makes the kernel kill a tracee
 * when its tracer dies: from here on they run, also where CRIU does not live to say so.
 */
function isResuming(dir: string): boolean {
  return existsSync(join(dir, 'resuming'));
}

// In a subshell: meanwhile runc notes where the standard streams of its criu lead, as those of the container, for the next
// dump (libcontainer/criu_linux.go, getPipeFds). A redirection leads them elsewhere for as long as its command takes.
// runc asks CRIU for its version first, on an inherited descriptor above 3; the restore itself comes on descriptor 3.
export function criuWrapper(dir: string, criuPath: string): string {
  return `#!/bin/sh
if [ "$1 $2" = "swrk 3" ]; then
  (echo "waiting $$" 1<>${dir}/events && read -r word <${dir}/go && [ "$word" = go ]) || exit 1
  export CRIU_CONFIG_FILE=${dir}/criu.conf
fi
exec ${criuPath} "$@"
`;
}

function openCommands(dir: string): Record<string, number> {
  const there = COMMANDS.filter((name) => existsSync(join(dir, name)));
  return Object.fromEntries(there.map((name) => [name, openFifo(join(dir, name))]));
}

function isFifo(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
}

function openFifo(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

/** Removes what is left of a rendezvous; nothing happens where there is none. */
export async function removeRendezvous(run: Run, containerId: string): Promise<void> {
  const dir = join(RESTORE_DIR, containerId);
  await unmountBelow(run, dir); // A CRIU that was killed leaves its view of the cgroups mounted in its work directory.
  await rm(dir, { recursive: true, force: true });
  await rm(draftOf(dir), { recursive: true, force: true });
}

/** What a directory is called while it is being laid out; a killed agent leaves it under that name. */
function draftOf(dir: string): string {
  return `${dir}.new`;
}
