/** The copy of a tree of processes, as it is made on the target: its files, and a restore that waits. */
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../../errors.ts';
import { type Run, startDetached } from '../../exec/run.ts';
import { Rendezvous } from '../docker/rendezvous.ts';
import type { Acquire, CopyMaker, MadeCopy, RestoreStart, StartedRestore, TreeRoot } from '../engine.ts';
import { criuPathOf, type HostFacts, type ProcessTreeFacts } from '../facts.ts';
import { copyCgroup, makeCgroup, planLimits } from './limits.ts';
import { freshCgroup, rootCgroups } from './own-cgroup.ts';
import { placeFiles } from './place-files.ts';
import { TREE } from './placed-record.ts';
import { quote } from './quote.ts';
import { type LaunchCgroups, treeScripts } from './restore-scripts.ts';
import { TERMINAL_DIR } from './terminal-dir.ts';

/** The one tree of files that there is. */
export const CARRIED = 'carried';
const CARRIED_DIR = '/var/lib/drayage/carried';

export interface TreeCopyOptions {
  /** Of the migration. */
  id: string;
  workload: ProcessTreeFacts;
  options: { replaceFiles: boolean; pidNamespace?: boolean; privateRoot?: boolean };
  host: HostFacts;
  run: Run;
  acquire: Acquire;
}

export class TreeCopy implements CopyMaker {
  readonly #o: TreeCopyOptions;
  readonly key: string;
  readonly bridges: ReadonlyMap<string, string> = new Map();
  readonly neighbours = [];
  readonly #stage: string;

  constructor(options: TreeCopyOptions) {
    this.#o = options;
    this.key = options.id;
    this.#stage = join(CARRIED_DIR, options.id);
  }

  async create(): Promise<MadeCopy> {
    const { acquire, workload } = this.#o;
    await acquire({ kind: 'files', path: this.#stage });
    await mkdir(join(this.#stage, TREE), { recursive: true, mode: 0o700 });
    await mkdir(join(this.#stage, 'root'));
    return { id: `process:${workload.pid}`, notes: [] };
  }

  root(key: string): TreeRoot | undefined {
    const tree = join(this.#stage, TREE);
    return key === CARRIED ? { first: tree, final: tree } : undefined;
  }

  receive(): Promise<void> {
    return Promise.reject(new DrayageError('PROTOCOL', 'A tree of processes has neither an image nor a log.'));
  }

  async start({ imagesDir, criuOptions }: RestoreStart): Promise<StartedRestore> {
    const { id, workload, host, run, acquire, options } = this.#o;
    const { pidNamespace = false } = options;
    const root = { tree: join(this.#stage, TREE), place: join(this.#stage, 'root') };
    const privateRoot = options.privateRoot ? root : undefined;
    await this.#place();
    const cgroups = await this.#makeCgroups();
    await acquire({ kind: 'rendezvous', containerId: id });
    const [terminal] = workload.terminals;
    const externalTerminal = terminal?.isLed ? terminal.id : undefined;
    const rendezvous = await Rendezvous.open({
      ...{ containerId: id, imagesDir, criuPath: criuPathOf(host), criuOptions, run },
      scripts: treeScripts({
        imagesDir,
        cgroups,
        externalTerminal,
        isOnTerminal: terminal !== undefined,
        pidNamespace,
        privateRoot,
      }),
    });
    const launcher = join(rendezvous.dir, 'bin/criu');
    if (terminal === undefined) launch('/bin/sh', [launcher], join(rendezvous.dir, 'launch.log'));
    else await this.#launchOnTerminal(launcher, cgroups);
    const started = rendezvous.until('resumed').then((resumed) => {
      if (!resumed) throw new Error(`criu ended with exit status ${rendezvous.status}`);
    });
    started.catch(() => {});
    return { rendezvous, started };
  }

  /** What it has written since, and opened since it was looked at. */
  complete(): Promise<void> {
    return this.#place();
  }

  async isKept(): Promise<boolean> {
    return false; // There is no engine that could have it.
  }

  async ending(): Promise<string | undefined> {
    return undefined;
  }

  async #makeCgroups(): Promise<LaunchCgroups> {
    const { id, workload, options, acquire } = this.#o;
    const name = copyCgroup(id, workload.terminals.length > 0 || options.pidNamespace === true);
    const limited = await planLimits(name, workload.limits);
    const own = await freshCgroup(name);
    if (!limited.some(({ path }) => path === own)) {
      await acquire({ kind: 'cgroup', path: own });
      await mkdir(own, { recursive: true });
    }
    for (const cgroup of limited) {
      await acquire({ kind: 'cgroup', ...cgroup });
      await makeCgroup(cgroup);
    }
    const procs = (paths: readonly string[]): string[] => paths.map((path) => join(path, 'cgroup.procs'));
    return { roots: procs(await rootCgroups()), own: procs([...new Set([own, ...limited.map(({ path }) => path)])]) };
  }

  #place(): Promise<void> {
    const { run, options } = this.#o;
    if (options.privateRoot) return Promise.resolve();
    const signal = new AbortController().signal;
    return placeFiles({ stage: this.#stage, run, mayReplace: options.replaceFiles, signal });
  }

  /**
   * script(1) makes the terminal and keeps it, whatever becomes of the agent: its ends are fifos that it has open for
   * reading and writing itself. While nobody takes what is written, the tree waits as behind Ctrl-S.
   */
  async #launchOnTerminal(launcher: string, { roots, own }: LaunchCgroups): Promise<void> {
    const { id, run, acquire } = this.#o;
    const dir = join(TERMINAL_DIR, id);
    await acquire({ kind: 'terminal', path: dir });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await run('mkfifo', ['-m', '600', join(dir, 'in'), join(dir, 'out')]);
    await writeFile(join(dir, 'workload'), `process:${this.#o.workload.pid}\n`);
    const start = join(dir, 'start');
    // The terminal's name is noted, for its size to be set.
    const inner = `readlink /proc/self/fd/0 >${dir}/name; exec ${launcher}`;
    const lines = [
      '#!/bin/sh',
      `for procs in ${[...roots, ...own].map(quote).join(' ')}; do echo $$ >"$procs"; done`,
      `echo $$ >${dir}/pid`,
      `exec env --default-signal=INT,QUIT,HUP SHELL=/bin/sh script --quiet --flush --command ${quote(inner)} /dev/null 0<>${dir}/in 1<>${dir}/out 2>${dir}/errors`,
    ];
    await writeFile(start, `${lines.join('\n')}\n`);
    await chmod(start, 0o700);
    launch('/bin/sh', [start], join(dir, 'launch.log'));
  }
}

function launch(program: string, args: readonly string[], log: string): void {
  const fd = openSync(log, 'a', 0o600);
  startDetached(program, args, fd);
  closeSync(fd);
}
