/** What this host forwards for workloads that it had, and what it serves by way of other hosts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGuarded } from '../engines/docker/guard.ts';
import { type Connection, connectionsOf } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { JournalRecord } from '../migration/journal-records.ts';
import { giveUpHold, type Repairable, repairForward, unknownForward } from '../migration/repair.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { ContainerSummary } from '../tools/docker-types.ts';
import type { Flow, HostPort } from '../traffic/facts.ts';
import { givePorts, isSpokenTo, type SourceSide, yieldAddresses } from '../traffic/forward.ts';
import type { Relays } from '../traffic/relays.ts';
import { carried, type ForwardStore, reinstall, removeForward } from '../traffic/store.ts';
import { peersOf } from '../traffic/workload.ts';

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
  /** Both ways, since it was made; absent for the role target. Of relayed ports no packets, and bytes since the agent began. */
  packets?: number;
  bytes?: number;
}

export interface ForwardsOptions {
  store: ForwardStore;
  relays: Relays;
  run: Run;
  docker: Docker;
  /** Of the migration of that id, as its source; undefined where there is none. @throws DrayageError WORKLOAD_BUSY */
  journalOf: (id: string) => Promise<JournalRecord[] | undefined>;
}

const RETRY_MS = 2000;
/** By then it has made the bridges that it makes, on a busy host, too. */
const ENGINE_PATIENCE_MS = 60_000;
const SWEEP_MS = 30_000;

export class Forwards {
  readonly #store: ForwardStore;
  readonly #relays: Relays;
  readonly #run: Run;
  readonly #docker: Docker;
  readonly #journalOf: ForwardsOptions['journalOf'];

  constructor({ store, relays, run, docker, journalOf }: ForwardsOptions) {
    this.#store = store;
    this.#relays = relays;
    this.#run = run;
    this.#docker = docker;
    this.#journalOf = journalOf;
  }

  async list(): Promise<ForwardSummary[]> {
    await this.#sweep();
    const kept = await this.#store.list();
    const forwards = await Promise.all(
      kept.map(async (forward): Promise<ForwardSummary> => {
        const { id, workload, role, since, peer } = forward;
        const onlyOpen = forward.role === 'source' && forward.side.only === 'open';
        const counted = forward.role === 'source' ? await carried(this.#run, forward) : {};
        return { id, workload, role, peer: peer.name, since, onlyOpen, ...counted };
      }),
    );
    const relays = this.#relays.list().map(({ id, workload, peer, since, bytes }): ForwardSummary => {
      return { id, workload, role: 'source', peer, since, onlyOpen: false, bytes };
    });
    return [...forwards, ...relays].sort((a, b) => a.since - b.since);
  }

  /** Both roles that this host has in it. @throws DrayageError FORWARD_UNKNOWN */
  async remove(id: string): Promise<void> {
    if (await this.#relays.remove(id)) return;
    const forward = await this.#of(id);
    const gaveUp = await giveUpHold(this.#run, forward);
    if (forward.stored.length === 0 && !gaveUp) throw unknownForward(id);
    for (const one of forward.stored) await removeForward(this.#run, this.#store, one);
  }

  /** Puts it in place anew. @throws DrayageError FORWARD_UNKNOWN, TRAFFIC_NOT_SWITCHED */
  async repair(id: string): Promise<void> {
    await repairForward(this.#run, this.#store, await this.#of(id));
  }

  async #of(id: string): Promise<Repairable> {
    const [kept, records] = await Promise.all([this.#store.list(), this.#journalOf(id)]);
    return { id, stored: kept.filter((one) => one.id === id), ...(records && { records }) };
  }

  /** Sees to it that forwards are in place, also after a restart of the host, and go when nobody needs them. */
  async keep(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    await this.#reinstall(signal, log);
    void this.#watch(signal, log);
    while (!signal.aborted) {
      await this.#sweep().catch((error: unknown) => log(DrayageError.from(error).message));
      await sleep(SWEEP_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Of a workload that came home, what is kept for connections that are older goes with the last of these. */
  async #sweep(): Promise<void> {
    for (const forward of await this.#store.list()) {
      if (forward.role !== 'source' || forward.side.hop !== 'home') continue;
      // Where that cannot be told it stays.
      const isUsed = await this.#isUsed(forward.workload, forward.side).catch(() => true);
      if (!isUsed) await removeForward(this.#run, this.#store, forward);
    }
  }

  /** The engine gives addresses and ports of containers that have moved away to others: they are theirs then. */
  async #watch(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const changes = await this.#docker.networkChanges({ signal });
        await this.#yield(log);
        for await (const _ of changes) await this.#yield(log);
      } catch {
        // The engine is away, and comes back.
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #yield(log: (line: string) => void): Promise<void> {
    for (const { role, id } of await this.#store.list()) {
      await this.#store.exclusively(async () => {
        const forward = (await this.#store.list()).find((one) => one.role === role && one.id === id);
        if (forward?.role !== 'source' || forward.side.hop === 'home') return;
        const yielded = yieldedBridges(forward.side, await this.#neighbours(forward.side));
        const given = givenPorts(forward.side, await this.#published());
        const [isYielded, isGiven] = [differ(yielded, forward.side.yielded), differ(given, forward.side.given)];
        if (!isYielded && !isGiven) return;
        const side = { ...forward.side, yielded, given };
        await this.#store.put({ ...forward, side });
        if (isYielded) await yieldAddresses(this.#run, side);
        else await givePorts(this.#run, side);
        const what = isYielded ? 'an address' : 'ports';
        log(`forward ${id}: other containers have ${what} of ${forward.workload}, or have them no more`);
      });
    }
  }

  /** Addresses of containers on the workload's networks here, by their bridges; of unfinished copies none. */
  async #neighbours({ addresses }: SourceSide): Promise<{ bridge: string; address: string }[]> {
    const networks = new Map(addresses.map(({ network = '', bridge }) => [bridge, network]));
    const all = await Promise.all(
      [...networks].map(async ([bridge, network]) => {
        const there = await this.#docker.inspectNetwork(network).catch(nothingIfNotFound);
        return there === undefined ? [] : peersOf(isGuarded, there).map((address) => ({ bridge, address }));
      }),
    );
    return all.flat();
  }

  /** Ports of this host that lead to running containers; those of unfinished copies are not there yet. */
  async #published(): Promise<HostPort[]> {
    const running = (await this.#docker.containers()).filter(({ Id, State }) => State === 'running' && !isGuarded(Id));
    return running.flatMap(({ Ports = [] }) => Ports.flatMap(hostPortOf));
  }

  /** By a TCP connection that is older than its return, or by a client by UDP that has spoken in the last minutes. */
  async #isUsed(workload: string, side: SourceSide): Promise<boolean> {
    const container = await this.#docker.inspect(workload.slice(workload.indexOf(':') + 1)).catch(nothingIfNotFound);
    const pid = container?.State.Pid ?? 0;
    if (pid === 0) return false;
    const open = new Set(tcpFlows(await connectionsOf(pid)).map(keyOf));
    return side.flows.some((flow) => open.has(keyOf(flow))) || (await isSpokenTo(this.#run, side));
  }

  /** Tries again until the engine has made its bridges. */
  async #reinstall(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    const began = performance.now();
    for (let told = false; !signal.aborted; told = true) {
      try {
        const anyway = performance.now() - began > ENGINE_PATIENCE_MS;
        const waiting = await reinstall(this.#run, this.#store, { anyway });
        if (waiting.length === 0 || anyway) return;
      } catch (error) {
        if (!told) log(`forwards are not in place: ${DrayageError.from(error).message}`);
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}

/** Pure: with those that were yielded before, which stay so. */
export function yieldedBridges(
  { addresses, yielded = [] }: Pick<SourceSide, 'addresses' | 'yielded'>,
  neighbours: readonly { bridge: string; address: string }[],
): string[] {
  const taken = neighbours.filter((other) =>
    addresses.some(({ bridge, address }) => bridge === other.bridge && address === other.address),
  );
  return [...new Set([...yielded, ...taken.map(({ bridge }) => bridge)])];
}

/** Pure: of the ports that are forwarded, those that lead to somebody else on this host now. */
export function givenPorts({ published }: Pick<SourceSide, 'published'>, taken: readonly HostPort[]): HostPort[] {
  return taken.filter(({ protocol, hostAddress, hostPort }) =>
    published.some(
      (one) =>
        one.protocol === protocol &&
        one.hostPort === hostPort &&
        (one.hostAddress === undefined || hostAddress === undefined || one.hostAddress === hostAddress),
    ),
  );
}

function hostPortOf({ IP, PublicPort, Type }: NonNullable<ContainerSummary['Ports']>[number]): HostPort[] {
  if (PublicPort === undefined || (Type !== 'tcp' && Type !== 'udp')) return [];
  const everywhere = IP === undefined || IP === '0.0.0.0' || IP === '::';
  return [{ protocol: Type, hostPort: PublicPort, ...(everywhere ? {} : { hostAddress: IP }) }];
}

function differ(now: readonly unknown[], before: readonly unknown[] = []): boolean {
  return JSON.stringify(now) !== JSON.stringify(before);
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
