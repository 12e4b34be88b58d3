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
  readonly #relays = new Map<string, TerminalRelay>();

  constructor(run: Run) {
    this.#run = run;
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
    return Promise.all([...this.#relays.keys()].map(async (id) => ({ id, workload: await workloadOf(id) })));
  }

  /**
   * Hands what is written to the viewer until the terminal ends or `signal` aborts.
   * @param name the migration's id, or the workload
   */
  async attach(name: string, size: TerminalSize, viewer: Viewer, signal: AbortSignal): Promise<'ended' | 'left'> {
    const relay = await this.#find(name);
    using _ = relay.attach(viewer);
    await relay.resize(size);
    const left = new Promise<'left'>((resolve) => {
      signal.addEventListener('abort', () => resolve('left'), { once: true });
    });
    // Waited for here: the viewer is let go of when this returns.
    return await Promise.race([relay.ended.then(() => 'ended' as const), left]);
  }

  async type(name: string, input: Buffer): Promise<void> {
    (await this.#find(name)).type(input);
  }

  async resize(name: string, size: TerminalSize): Promise<void> {
    await (await this.#find(name)).resize(size);
  }

  /** @throws DrayageError TERMINAL_UNKNOWN */
  async #find(name: string): Promise<TerminalRelay> {
    const known = this.#relays.get(name);
    if (known !== undefined) return known;
    const id = (await this.list()).find((one) => one.id === name || one.workload === name)?.id;
    const relay = id === undefined ? undefined : this.#relays.get(id);
    if (relay === undefined) throw new DrayageError('TERMINAL_UNKNOWN', `There is no terminal ${name} here.`);
    return relay;
  }

  async #look(): Promise<void> {
    for (const id of await readdir(TERMINAL_DIR).catch(() => [])) {
      if (this.#relays.has(id)) continue;
      try {
        this.#serve(id, new TerminalRelay(join(TERMINAL_DIR, id), this.#run));
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
      await rm(join(TERMINAL_DIR, id), { recursive: true, force: true });
    });
  }
}

async function workloadOf(id: string): Promise<string> {
  return (await readFile(join(TERMINAL_DIR, id, 'workload'), 'utf8').catch(() => '')).trim();
}
