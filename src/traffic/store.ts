/** Forwards are kept in one file each, so that they are put in place again after a restart of the agent or of the host. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { listTables } from '../tools/nft.ts';
import type { ForwardedHere } from './capabilities.ts';
import {
  installSource,
  installTarget,
  readSource,
  removeSource,
  removeTarget,
  type SourceSide,
  type TargetSide,
} from './forward.ts';
import { tableName } from './names.ts';

interface Common {
  version: 1;
  /** Of the forward, the same on both hosts. */
  id: string;
  /** As users know it, `docker:web`. */
  workload: string;
  /** The other host, by its name and by its machine id. */
  peer: { name: string; machine: string };
  /** Unix time in milliseconds. */
  since: number;
}

export type StoredForward =
  | (Common & { role: 'source'; side: SourceSide; before: Counted })
  | (Common & { role: 'target'; side: TargetSide });

/** What was counted before the rules were last put in place. */
export interface Counted {
  packets: number;
  bytes: number;
}

export class ForwardStore {
  readonly #directory: string;
  #last: Promise<unknown> = Promise.resolve();

  /** @param directory `forwards` in the state directory */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** One such work after another: what is put in place again must not have been removed meanwhile. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Before the rules are put in place: what is there is always known. */
  async put(forward: StoredForward): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path(forward.role, forward.id);
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(forward, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  /** After the rules are gone. */
  async delete(role: StoredForward['role'], id: string): Promise<void> {
    await rm(this.#path(role, id), { force: true });
  }

  /** The oldest first. @throws DrayageError FORWARDS_CORRUPT */
  async list(): Promise<StoredForward[]> {
    const names = await readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const kept = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.#read(name)));
    return kept.sort((a, b) => a.since - b.since);
  }

  /** @throws DrayageError FORWARD_UNKNOWN */
  async get(role: StoredForward['role'], id: string): Promise<StoredForward> {
    const found = (await this.list()).find((one) => one.role === role && one.id === id);
    if (found === undefined) throw new DrayageError('FORWARD_UNKNOWN', `There is no forward ${id} on this host.`);
    return found;
  }

  async #read(name: string): Promise<StoredForward> {
    const path = `${this.#directory}/${name}`;
    try {
      const forward = JSON.parse(await readFile(path, 'utf8')) as StoredForward;
      if (forward.version !== 1) throw new Error(`version ${forward.version} is not known`);
      return forward;
    } catch (error) {
      throw new DrayageError('FORWARDS_CORRUPT', `${path} cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #path(role: StoredForward['role'], id: string): string {
    return `${this.#directory}/${tableName(role, id)}.json`;
  }
}

/** What others must know of it who want to bring a workload here: only of a workload that this host had. */
export function forwardedHere({ workload, role, side }: StoredForward): ForwardedHere[] {
  if (role !== 'source' || side.only === 'open') return [];
  return [{ workload, published: [...side.published], addresses: side.addresses.map(({ address }) => address) }];
}

/** Bytes and packets that a forward's source side has carried, both ways, since it was made. */
export async function carried(run: Run, forward: StoredForward & { role: 'source' }): Promise<Counted> {
  const now = await readSource(run, forward.id);
  if (now === null) return forward.before;
  return {
    packets: forward.before.packets + now.toTarget.packets + now.fromTarget.packets,
    bytes: forward.before.bytes + now.toTarget.bytes + now.fromTarget.bytes,
  };
}

/**
 * Puts in place again what is not there: at the start of the agent. Those whose bridges are missing are told; Docker may
 * not be up yet, so its caller tries again.
 * @param anyway also without bridges, for published ports: the workload's network may have been removed since it left
 */
export async function reinstall(run: Run, store: ForwardStore, { anyway = false } = {}): Promise<StoredForward[]> {
  const waiting: StoredForward[] = [];
  for (const { role, id } of await store.list()) {
    await store.exclusively(async () => {
      // It may have gone, or lead elsewhere by now.
      const forward = (await store.list()).find((one) => one.role === role && one.id === id);
      if (forward !== undefined && !(await putInPlace(run, forward, anyway))) waiting.push(forward);
    });
  }
  return waiting;
}

/** False where a bridge of it is not there yet. */
async function putInPlace(run: Run, forward: StoredForward, anyway: boolean): Promise<boolean> {
  const [tables, { devices }] = await Promise.all([listTables(run), readNetwork(run)]);
  if (tables.some(({ name }) => name === tableName(forward.role, forward.id))) return true;
  const bridges = forward.side.addresses.map(({ bridge }) => bridge);
  const isBare = anyway && forward.role === 'source' && forward.side.hop !== 'home';
  if (!isBare && !bridges.every((bridge) => devices.some(({ name, up }) => name === bridge && up))) return false;
  if (forward.role === 'source') await installSource(run, forward.side);
  else await installTarget(run, forward.side);
  return true;
}

/** `drayage forwards rm`, and when the workload has moved on or come home. */
export function removeForward(run: Run, store: ForwardStore, forward: StoredForward): Promise<void> {
  return store.exclusively(async () => {
    if (forward.role === 'source') await removeSource(run, forward.side);
    else await removeTarget(run, forward.side);
    await store.delete(forward.role, forward.id);
  });
}

/** With the command that finishes the job, for a note. */
export function toldOf({ message, remedy }: DrayageError): string {
  return `${message.replace(/\.$/, '')}. ${remedy}`;
}

/** A failure after the commit: the workload runs, and only its old address is not answered. */
export function notSwitched(forward: Pick<StoredForward, 'id' | 'workload'>, cause: unknown): DrayageError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DrayageError(
    'TRAFFIC_NOT_SWITCHED',
    `${forward.workload} has moved, but not all of its traffic follows: ${why}`,
    {
      remedy: `Finish it with drayage forwards repair ${forward.id}, on the host that it left.`,
      cause,
    },
  );
}
