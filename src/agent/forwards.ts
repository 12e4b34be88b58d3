/** What this host forwards for workloads that it had, and what it serves by way of other hosts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { carried, type ForwardStore, reinstall, removeForward } from '../traffic/store.ts';

export interface ForwardSummary {
  id: string;
  /** `docker:web` */
  workload: string;
  /** `source`: the workload was here, and what comes for it is sent to `peer`; `target`: it came from there. */
  role: 'source' | 'target';
  /** The other host. */
  peer: string;
  /** Unix time in milliseconds. */
  since: number;
  /** Only connections that were open when the workload moved. */
  onlyOpen: boolean;
  /** Both ways, since it was made; absent for the role target. */
  packets?: number;
  bytes?: number;
}

const RETRY_MS = 2000;

export class Forwards {
  readonly #store: ForwardStore;
  readonly #run: Run;

  constructor(store: ForwardStore, run: Run) {
    this.#store = store;
    this.#run = run;
  }

  async list(): Promise<ForwardSummary[]> {
    const kept = await this.#store.list();
    return Promise.all(
      kept.map(async (forward): Promise<ForwardSummary> => {
        const { id, workload, role, since, peer } = forward;
        const onlyOpen = forward.role === 'source' && forward.side.only === 'open';
        const counted = forward.role === 'source' ? await carried(this.#run, forward) : {};
        return { id, workload, role, peer: peer.name, since, onlyOpen, ...counted };
      }),
    );
  }

  /** Both roles that this host has in it. @throws DrayageError FORWARD_UNKNOWN */
  async remove(id: string): Promise<void> {
    const mine = (await this.#store.list()).filter((one) => one.id === id);
    if (mine.length === 0) throw new DrayageError('FORWARD_UNKNOWN', `There is no forward ${id} on this host.`);
    for (const forward of mine) await removeForward(this.#run, this.#store, forward);
  }

  /** After a restart of the host: tries again until the engine has made its bridges. */
  async reinstall(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    for (let told = false; !signal.aborted; told = true) {
      try {
        const waiting = await reinstall(this.#run, await this.#store.list());
        if (waiting.length === 0) return;
      } catch (error) {
        if (!told) log(`forwards are not in place: ${DrayageError.from(error).message}`);
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}
