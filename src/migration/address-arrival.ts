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
} from '../traffic/address-arrival.ts';
import { announce, prepareAnnouncement, type Settings } from '../traffic/announce.ts';
import { type OwnDevice, parentOf } from '../traffic/own-device.ts';
import type { Resource } from './resource.ts';

interface Options {
  /** Of the migration. */
  id: string;
  /** As they are on the source. */
  own: readonly OwnDevice[];
  docker: Docker;
  run: Run;
  /** Writes down what is about to be made. */
  acquire: (resource: Resource) => Promise<void>;
}

/** A frame may get lost, and a switch that is busy learns late. */
const REPEAT_MS = 200;

export class AddressArrival {
  readonly #arriving: ArrivingAddress;
  readonly #run: Run;
  #inside: Run | undefined;
  #settings: Settings = {};
  #announced: Promise<void> = Promise.resolve();

  private constructor(arriving: ArrivingAddress, run: Run) {
    this.#arriving = arriving;
    this.#run = run;
  }

  /** Once the networks are there, and before the copy is: an undo takes it back after the copy. */
  static async seal({ id, own, docker, run, acquire }: Options): Promise<AddressArrival | undefined> {
    if (own.length === 0) return undefined;
    const here = await Promise.all(
      own.map(async (one) => ({ ...one, parent: parentOf(await docker.inspectNetwork(one.network)) ?? '' })),
    );
    const astray = here.find(({ parent }) => parent === '');
    if (astray !== undefined)
      throw new DrayageError('PROTOCOL', `The network ${astray.network} hangs on no device of the target.`);
    const arriving = { id: `${id}/own`, own: here };
    await acquire({ kind: 'address', arriving });
    await sealArrival(run, arriving);
    return new AddressArrival(arriving, run);
  }

  /** For nft in the copy's namespace, before there is anything in it. */
  get copyRules(): string {
    return copySealScript(this.#arriving);
  }

  get addresses(): string[] {
    return this.#arriving.own.flatMap(({ addresses }) => addresses);
  }

  /** The copy has its devices. @param pid of its init process */
  async wired(pid: number): Promise<void> {
    this.#inside = inNetworkOf(pid, this.#run);
    this.#settings = await prepareAnnouncement(this.#inside, this.#arriving.own);
  }

  /** Beside the commit record: the copy is heard, and hears. */
  async open(): Promise<void> {
    if (this.#inside !== undefined) await openArrival(this.#run, this.#inside, this.#arriving);
  }

  /** As soon as it is committed. What fails is told by `settle`. */
  announce(): Promise<void> {
    this.#announced = this.#inside === undefined ? Promise.resolve() : announce(this.#inside, this.#arriving.own);
    return this.#announced.catch(() => {});
  }

  /** Announces them once more, and leaves no rule behind. @returns what went wrong */
  async settle(): Promise<string[]> {
    const inside = this.#inside;
    if (inside === undefined) return [];
    try {
      await sleep(REPEAT_MS);
      await announce(inside, this.#arriving.own);
      await setSysctls(inside, this.#settings);
      await removeArrival(this.#run, inside, this.#arriving);
      return [];
    } catch (error) {
      return [`its address may be announced late: ${DrayageError.from(error).message}`];
    }
  }
}
