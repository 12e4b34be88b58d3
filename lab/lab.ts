/** Several hosts on one machine, with real engines: what tests, benchmarks and `drayage lab` work with. */
import { DrayageError } from '../src/errors.ts';
import { type Run, runner } from '../src/exec/run.ts';
import { cleanLab } from './clean.ts';
import { LabHost } from './host.ts';
import { ensureImage } from './images.ts';
import { type CutDirection, cut, restore } from './network.ts';
import { isAlive, thisProcess } from './process.ts';
import { requireRoot, underStoreLock } from './reserve.ts';
import { isWhole, type LabState, listLabs, readState, writeState } from './state.ts';
import { type BootOptions, bootLab, restartHost } from './up.ts';

/** Where everything of labs is kept: root file systems and images, to be used again, and the labs that are up. */
const DEFAULT_STORE = '/var/tmp/drayage-lab';

export type LabOptions = Partial<BootOptions> & Pick<BootOptions, 'name' | 'hosts'>;

export interface LabSummary {
  name: string;
  state: LabState | undefined;
  whole: boolean;
}

export class Lab implements AsyncDisposable {
  readonly #store: string;
  readonly #state: LabState;
  readonly #run: Run;
  readonly #mirror: string | undefined;

  private constructor(store: string, state: LabState, run: Run, mirror: string | undefined) {
    this.#store = store;
    this.#state = state;
    this.#run = run;
    this.#mirror = mirror;
  }

  /**
   * Makes a lab and resolves when its hosts can be worked with. What is needed and missing (packages, root file
   * systems) is fetched or built first; what crashed runs left is removed.
   * @throws DrayageError LAB_EXISTS, LAB_BUSY, LAB_NEEDS_ROOT, LAB_NEEDS_PACKAGES, LAB_NO_MIRROR, LAB_BUILD_FAILED,
   *   LAB_BOOT_FAILED
   */
  static async up(options: LabOptions): Promise<Lab> {
    const full = withDefaults(options);
    const state = await bootLab(full);
    return new Lab(full.store, state, runner(), full.mirror);
  }

  /** A lab that is up, made by whatever process. */
  static async open(
    name: string,
    { store = DEFAULT_STORE, mirror }: { store?: string; mirror?: string | undefined } = {},
  ): Promise<Lab> {
    const state = await readState(store, name);
    if (state === undefined) throw new DrayageError('LAB_NOT_FOUND', `No lab is called ${name}.`);
    return new Lab(store, state, runner(), mirror);
  }

  static async list(store = DEFAULT_STORE): Promise<LabSummary[]> {
    const labs = await listLabs(store);
    return labs.map(({ name, state }) => ({ name, state, whole: state !== undefined && isWhole(state) }));
  }

  /**
   * Removes a lab, or what is left of one; true if there was anything.
   * @throws DrayageError LAB_BUSY while another process makes or removes it.
   */
  static async remove(name: string, store = DEFAULT_STORE): Promise<boolean> {
    requireRoot();
    const found = await underStoreLock(store, async () => {
      const lab = (await listLabs(store)).find((each) => each.name === name);
      if (lab?.state === undefined) return lab;
      const { phase, owner } = lab.state;
      if (phase !== 'up' && isAlive(owner) && owner.pid !== process.pid) {
        throw new DrayageError('LAB_BUSY', `Lab ${name} is ${phase}, by process ${owner.pid}.`);
      }
      await writeState(store, { ...lab.state, phase: 'stopping', owner: thisProcess() });
      return lab;
    });
    if (found !== undefined) await cleanLab(runner(), store, name, found.state);
    return found !== undefined;
  }

  get name(): string {
    return this.#state.name;
  }

  get docker(): number {
    return this.#state.docker;
  }

  get hosts(): LabHost[] {
    return this.#state.hosts.map((host) => new LabHost(host, this.#run));
  }

  /** @throws DrayageError LAB_NOT_FOUND */
  host(name: string): LabHost {
    const host = this.#state.hosts.find((each) => each.name === name);
    if (host === undefined) {
      const names = this.#state.hosts.map((each) => each.name).join(', ');
      throw new DrayageError('LAB_NOT_FOUND', `Lab ${this.name} has no host ${name}, only ${names}.`);
    }
    return new LabHost(host, this.#run);
  }

  /** Builds an image, unless it was before, and gives it to the engines of hosts (of all, if none is named). */
  async image(
    name: string,
    hosts: readonly string[] = [],
    onProgress: (line: string) => void = () => {},
  ): Promise<void> {
    const targets = hosts.length === 0 ? this.hosts : hosts.map((host) => this.host(host));
    const options = { store: this.#store, mirror: this.#mirror, run: this.#run, onProgress };
    const archive = await ensureImage(name, options);
    await Promise.all(targets.map((host) => host.loadImage(archive)));
  }

  /** Loses the packages that a host is sent, those that it sends, or both, without a sign of it. */
  async cutLink(host: string, direction: CutDirection = 'both'): Promise<void> {
    await cut(this.#run, this.#switchPid(), this.host(host).name, direction);
  }

  async restoreLink(host: string): Promise<void> {
    await restore(this.#run, this.#switchPid(), this.host(host).name);
  }

  /** As if the host's power had failed and come back: all processes are killed, disks kept, and it boots again. */
  async restartHost(name: string): Promise<void> {
    const host = this.host(name).name;
    await restartHost(this.#run, this.#store, this.#state, host);
  }

  /** Removes the lab. */
  async down(): Promise<void> {
    await Lab.remove(this.name, this.#store);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down();
  }

  #switchPid(): number {
    if (this.#state.switch === undefined) throw new DrayageError('LAB_NOT_FOUND', `Lab ${this.name} is down.`);
    return this.#state.switch.pid;
  }
}

function withDefaults(options: LabOptions): BootOptions {
  return {
    store: DEFAULT_STORE,
    docker: 26,
    agent: options.programDir !== undefined,
    node: process.execPath,
    ephemeral: false,
    onProgress: () => {},
    ...options,
  };
}
