/** A workload's own addresses on the LAN, as they come to the target with it: nobody hears of them until the commit. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import { setSysctls } from '../tools/ip-network.ts';
import { inNetworkOf } from '../tools/nsenter.ts';
import {
  type ArrivingAddress,
  copySealScript,
  openArrival,
  removeArrival,
  sealArrival,
  shutArrival,
} from '../traffic/address-arrival.ts';
import { announce, prepareAnnouncement, type Settings } from '../traffic/announce.ts';
import { type OwnDevice, parentOf } from '../traffic/own-device.ts';
import { innerDevices } from '../traffic/workload.ts';
import type { Resource } from './resource.ts';

interface Options {
  /** Of the migration. */
  id: string;
  /** The copy's name. */
  container: string;
  /** As they are on the source. */
  own: readonly OwnDevice[];
  docker: Docker;
  run: Run;
  /** Writes down what is about to be made. */
  acquire: (resource: Resource) => Promise<void>;
}

/** The copy, once it has its devices. */
interface Wired {
  /** In its namespace. */
  inside: Run;
  own: OwnDevice[];
  /** What is to be set back. */
  settings: Settings;
}

/** A frame may get lost, and a switch that is busy learns late. */
const REPEAT_MS = 200;

export class AddressArrival {
  readonly #arriving: ArrivingAddress;
  readonly #run: Run;
  #wired: Wired | undefined;
  #open = false;

  private constructor(arriving: ArrivingAddress, run: Run) {
    this.#arriving = arriving;
    this.#run = run;
  }

  /** Once the networks are there, and before the copy is: an undo takes it back after the copy. */
  static async seal({ id, container, own, docker, run, acquire }: Options): Promise<AddressArrival | undefined> {
    if (own.length === 0) return undefined;
    const here = await Promise.all(
      own.map(async (one) => ({ ...one, parent: parentOf(await docker.inspectNetwork(one.network)) ?? '' })),
    );
    const astray = here.find(({ parent }) => parent === '');
    if (astray !== undefined)
      throw new DrayageError('PROTOCOL', `The network ${astray.network} hangs on no device of the target.`);
    const arriving = { id: `${id}/own`, own: here };
    await acquire({ kind: 'address', container, arriving });
    await sealArrival(run, arriving);
    return new AddressArrival(arriving, run);
  }

  /** For nft in the copy's namespace, before there is anything in it. */
  get copyRules(): string {
    return copySealScript(this.#arriving);
  }

  /** Link-local ones are the device's, wherever else they are. */
  get addresses(): string[] {
    return this.#arriving.own.flatMap(({ addresses }) => addresses.filter((one) => !one.startsWith('fe80:')));
  }

  /**
   * The copy has its devices, which may have other names than on the source.
   * @param pid of its init process
   * @throws DrayageError RESTORE_FAILED where the engine did not give it its MAC address
   */
  async wired(pid: number): Promise<void> {
    const inside = inNetworkOf(pid, this.#run);
    const devices = await innerDevices(this.#run, pid);
    const own = this.#arriving.own.map((one) => {
      const device = devices.find(({ mac }) => mac === one.mac)?.name;
      if (device === undefined)
        throw new DrayageError('RESTORE_FAILED', `The copy has no device with the MAC address ${one.mac}.`);
      return { ...one, device };
    });
    this.#wired = { inside, own, settings: await prepareAnnouncement(inside, own) };
  }

  /** Beside the commit record: the copy is heard, and hears. */
  async open(): Promise<void> {
    if (this.#wired === undefined) return;
    this.#open = true;
    await openArrival(this.#run, this.#wired.inside, this.#arriving);
  }

  /** The commit came to nothing; to be called before the copy is killed. May be repeated. */
  async shut(): Promise<void> {
    if (this.#wired === undefined || !this.#open) return;
    this.#open = false;
    await shutArrival(this.#run, this.#wired.inside, this.#arriving).catch(() => {});
  }

  /** As soon as it is committed. What fails is made up for by the copy's own packets, and by `settle`. */
  async announce(): Promise<void> {
    if (this.#wired !== undefined) await announce(this.#wired.inside, this.#wired.own).catch(() => {});
  }

  /** Announces them once more, and leaves no rule behind. @returns what went wrong */
  async settle(): Promise<string[]> {
    if (this.#wired === undefined) return [];
    const { inside, own, settings } = this.#wired;
    try {
      await sleep(REPEAT_MS);
      await announce(inside, own);
      await setSysctls(inside, settings);
      await removeArrival(this.#run, inside, this.#arriving);
      return [];
    } catch (error) {
      return [`its address may be announced late: ${DrayageError.from(error).message}`];
    }
  }
}
