/** What this host forwards for workloads that it had, and what it serves by way of other hosts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connectionsOf } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { Flow } from '../traffic/facts.ts';
import { installSource, installTarget } from '../traffic/forward.ts';
import { carried, type ForwardStore, reinstall, removeForward, type StoredForward } from '../traffic/store.ts';

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
const SWEEP_MS = 30_000;

export class Forwards {
  readonly #store: ForwardStore;
  readonly #run: Run;
  readonly #docker: Docker;

  constructor(store: ForwardStore, run: Run, docker: Docker) {
    this.#store = store;
    this.#run = run;
    this.#docker = docker;
  }

  async list(): Promise<ForwardSummary[]> {
    await this.#sweep();
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
    for (const forward of await this.#of(id)) await removeForward(this.#run, this.#store, forward);
  }

  /** Puts it in place anew. @throws DrayageError FORWARD_UNKNOWN */
  async repair(id: string): Promise<void> {
    for (const forward of await this.#of(id)) {
      if (forward.role === 'source') await installSource(this.#run, forward.side);
      else await installTarget(this.#run, forward.side);
    }
  }

  async #of(id: string): Promise<StoredForward[]> {
    const mine = (await this.#store.list()).filter((one) => one.id === id);
    if (mine.length === 0) throw new DrayageError('FORWARD_UNKNOWN', `There is no forward ${id} on this host.`);
    return mine;
  }

  /** Sees to it that forwards are in place, also after a restart of the host, and go when nobody needs them. */
  async keep(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    await this.#reinstall(signal, log);
    while (!signal.aborted) {
      await this.#sweep().catch((error: unknown) => log(DrayageError.from(error).message));
      await sleep(SWEEP_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Of a workload that came home, what is kept for connections that are older goes with the last of these. */
  async #sweep(): Promise<void> {
    for (const forward of await this.#store.list()) {
      if (forward.role !== 'source' || forward.side.hop !== 'home') continue;
      const open = new Set((await this.#connections(forward.workload)).map(keyOf));
      if (!forward.side.flows.some((flow) => open.has(keyOf(flow))))
        await removeForward(this.#run, this.#store, forward);
    }
  }

  async #connections(workload: string): Promise<Flow[]> {
    const container = await this.#docker.inspect(workload.slice(workload.indexOf(':') + 1)).catch(nothingIfNotFound);
    const pid = container?.State.Pid ?? 0;
    return pid === 0 ? [] : tcpFlows(await connectionsOf(pid));
  }

  /** Tries again until the engine has made its bridges. */
  async #reinstall(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    for (let told = false; !signal.aborted; told = true) {
      try {
        const waiting = await reinstall(this.#run, this.#store);
        if (waiting.length === 0) return;
      } catch (error) {
        if (!told) log(`forwards are not in place: ${DrayageError.from(error).message}`);
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}

/** Which connection it is, whoever looks. */
function keyOf({ address, port, peer, peerPort }: Flow): string {
  return [address, port, peer, peerPort].join(' ');
}

function tcpFlows(connections: readonly Connection[]): Flow[] {
  const bare = (host: string): string => host.replace(/^\[|\]$/g, '');
  return connections.map(({ local, remote }) => ({
    ...{ protocol: 'tcp', by: 'peer' },
    ...{ address: bare(local.host), port: local.port, peer: bare(remote.host), peerPort: remote.port },
  }));
}

function nothingIfNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}
