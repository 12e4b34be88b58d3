/** The terminals that processes came here with: each is served while it lasts, also over a restart of the agent. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TERMINAL_DIR } from '../engines/process/terminal-dir.ts';
import { TerminalRelay, type TerminalSize, type Viewer } from '../engines/process/terminal-relay.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';

const LOOK_MS = 1000;

export interface TerminalSummary {
  /** Of the migration that brought it. */
  id: string;
  /** `process:4711` */
  workload: string;
}

export class Terminals {
  readonly #run: Run;
  readonly #directory: string;
  readonly #relays = new Map<string, TerminalRelay>();

  constructor(run: Run, directory = TERMINAL_DIR) {
    this.#run = run;
    this.#directory = directory;
  }

  /** Serves those that there are and those that come, until `signal` aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look();
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
    for (const relay of this.#relays.values()) relay.close();
  }

  async list(): Promise<TerminalSummary[]> {
    await this.#look();
    return Promise.all([...this.#relays.keys()].map(async (id) => ({ id, workload: await this.#workloadOf(id) })));
  }

  /**
   * The id of the terminal, by which all else is done: what is typed must not wait for a look, nor go elsewhere after one.
   * @param name the migration's id, or the workload
   * @throws DrayageError TERMINAL_UNKNOWN, WORKLOAD_AMBIGUOUS
   */
  async find(name: string): Promise<string> {
    const found = (await this.list()).filter((one) => one.id === name || one.workload === name);
    const [first, ...others] = found.map(({ id }) => id);
    if (first === undefined) throw unknown(name);
    if (others.length === 0) return first;
    throw new DrayageError('WORKLOAD_AMBIGUOUS', `${name} has the terminals ${[first, ...others].join(' and ')}.`, {
      meaning: 'Processes of the same number have come here more than once.',
      remedy: 'Give the id of the migration that brought those that you mean.',
    });
  }

  /** Hands what is written to the viewer until the terminal ends or `signal` aborts. @throws DrayageError TERMINAL_UNKNOWN */
  async attach(id: string, size: TerminalSize, viewer: Viewer, signal: AbortSignal): Promise<'ended' | 'left'> {
    const relay = this.#at(id);
    using _ = relay.attach(viewer);
    await relay.resize(size);
    const left = new Promise<'left'>((resolve) => {
      if (signal.aborted) resolve('left');
      signal.addEventListener('abort', () => resolve('left'), { once: true });
    });
    // Waited for here: the viewer is let go of when this returns.
    return await Promise.race([relay.ended.then(() => 'ended' as const), left]);
  }

  /** In the order of the calls. @throws DrayageError TERMINAL_UNKNOWN */
  async type(id: string, input: Buffer): Promise<void> {
    this.#at(id).type(input);
  }

  /** @throws DrayageError TERMINAL_UNKNOWN */
  async resize(id: string, size: TerminalSize): Promise<void> {
    await this.#at(id).resize(size);
  }

  #at(id: string): TerminalRelay {
    const relay = this.#relays.get(id);
    if (relay === undefined) throw unknown(id);
    return relay;
  }

  async #look(): Promise<void> {
    for (const id of await readdir(this.#directory).catch(() => [])) {
      if (this.#relays.has(id)) continue;
      try {
        this.#serve(id, new TerminalRelay(join(this.#directory, id), this.#run));
      } catch {
        // It is being made, and found by the next look.
      }
    }
  }

  #serve(id: string, relay: TerminalRelay): void {
    this.#relays.set(id, relay);
    void relay.ended.then(async () => {
      this.#relays.delete(id);
      if (!relay.isGone) return;
      await rm(join(this.#directory, id), { recursive: true, force: true });
    });
  }

  async #workloadOf(id: string): Promise<string> {
    return (await readFile(join(this.#directory, id, 'workload'), 'utf8').catch(() => '')).trim();
  }
}

function unknown(name: string): DrayageError {
  return new DrayageError('TERMINAL_UNKNOWN', `There is no terminal ${name} here.`);
}
