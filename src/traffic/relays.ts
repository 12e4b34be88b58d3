/** The relays of this host, kept in one file each over a restart of the agent or of the host. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay } from './relay.ts';

export interface StoredRelay {
  version: 1;
  /** Of the migration that it was made by. */
  id: string;
  /** `process:4711` */
  workload: string;
  /** The host where it is now, as the user named it. */
  peer: string;
  /** Of that host. */
  address: string;
  /** That it listened on here, `tcp/0.0.0.0:80`. */
  endpoints: string[];
  /** Unix time in milliseconds. */
  since: number;
}

/** A tree of processes that comes here. Its pid alone does not tell it from another: the ports that it needs do. */
export interface Arriving {
  /** `process:4711` */
  workload: string;
  /** `tcp/0.0.0.0:80` */
  listening: readonly string[];
}

interface Kept {
  stored: StoredRelay;
  /** Undefined where its ports could not be had so far, or it makes way. */
  relay: Relay | undefined;
  /** Since the agent was started. */
  bytes: number;
}

const RETRY_MS = 2000;

export class Relays {
  readonly #directory: string;
  readonly #kept = new Map<string, Kept>();
  /** Ids of those whose workloads are about to be here again. */
  readonly #paused = new Set<string>();
  /** The last of what is done one after another; first of all they are read. */
  #last: Promise<unknown> | undefined;

  /** @param directory `relays` in the state directory */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Opens those that there are, and tries again where a port is taken, until `signal` aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#inTurn(() => this.#openAll());
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
    for (const { relay } of this.#kept.values()) await relay?.[Symbol.asyncDispose]();
  }

  /** In the place of any other of that workload and one of its ports. It is on disk when this resolves, and open where its ports are free. */
  put(stored: StoredRelay): Promise<void> {
    return this.#inTurn(async () => {
      const { workload, endpoints: listening } = stored;
      for (const { stored: older } of this.#of({ workload, listening }))
        if (older.id !== stored.id) await this.#drop(older.id);
      this.#paused.delete(stored.id);
      await this.#write(stored);
      if (!this.#kept.has(stored.id)) this.#kept.set(stored.id, { stored, relay: undefined, bytes: 0 });
      await this.#openAll();
    });
  }

  list(): (StoredRelay & { bytes: number })[] {
    return [...this.#kept.values()].map(({ stored, bytes }) => ({ ...stored, bytes }));
  }

  /** What this host listens on in the place of that workload: it makes way. */
  endpointsOf(arriving: Arriving): string[] {
    return this.#of(arriving).flatMap(({ stored }) => stored.endpoints);
  }

  /** False where there is none of that id. */
  remove(id: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const isThere = this.#kept.has(id);
      if (isThere) await this.#drop(id);
      return isThere;
    });
  }

  /** It is about to be restored here, and needs its ports. */
  async pause(arriving: Arriving): Promise<void> {
    if (this.#of(arriving).length === 0) return;
    await this.#inTurn(async () => {
      for (const kept of this.#of(arriving)) {
        this.#paused.add(kept.stored.id);
        await kept.relay?.[Symbol.asyncDispose]();
        kept.relay = undefined;
      }
    });
  }

  /** It was not; nothing happens where it was not expected. */
  resume(arriving: Arriving): void {
    const paused = this.#of(arriving).filter(({ stored }) => this.#paused.delete(stored.id));
    if (paused.length > 0) void this.#inTurn(() => this.#openAll());
  }

  /** It is here. */
  async forget(arriving: Arriving): Promise<void> {
    await this.#inTurn(async () => {
      for (const { stored } of this.#of(arriving)) await this.#drop(stored.id);
    });
  }

  #of({ workload, listening }: Arriving): Kept[] {
    return [...this.#kept.values()].filter(
      ({ stored }) => stored.workload === workload && stored.endpoints.some((one) => listening.includes(one)),
    );
  }

  async #openAll(): Promise<void> {
    for (const kept of this.#kept.values()) {
      const { endpoints, address, id } = kept.stored;
      if (kept.relay !== undefined || this.#paused.has(id)) continue;
      const onBytes = (bytes: number): void => {
        kept.bytes += bytes;
      };
      // Somebody else has a port of it: tried again later.
      kept.relay = await Relay.open({ endpoints, address, onBytes }).catch(() => undefined);
    }
  }

  async #drop(id: string): Promise<void> {
    await this.#kept.get(id)?.relay?.[Symbol.asyncDispose]();
    this.#kept.delete(id);
    this.#paused.delete(id);
    await rm(this.#path(id), { force: true });
  }

  async #load(): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []);
    for (const name of names.filter((one) => one.endsWith('.json'))) {
      const text = await readFile(join(this.#directory, name), 'utf8');
      const stored = parseStored(text);
      if (stored !== undefined) this.#kept.set(stored.id, { stored, relay: undefined, bytes: 0 });
    }
  }

  async #write(stored: StoredRelay): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path(stored.id);
    {
      await using file = await open(`${path}.new`, 'w', 0o600);
      await file.writeFile(`${JSON.stringify(stored, null, 2)}\n`);
      await file.sync();
    }
    await rename(`${path}.new`, path);
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#last ??= this.#load();
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** Undefined for what is none, or of a version to come. */
function parseStored(text: string): StoredRelay | undefined {
  try {
    const stored = JSON.parse(text) as StoredRelay;
    return stored.version === 1 ? stored : undefined;
  } catch {
    return undefined;
  }
}
