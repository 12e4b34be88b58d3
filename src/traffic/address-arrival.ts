/**
 * The host that a workload's own addresses come to: until the commit nobody on the LAN may hear of the copy, whose kernel
 * would answer for them, and whose engine announces them when it starts it (Docker 28). Every step may be repeated.
 */
import type { Run } from '../exec/run.ts';
import { applyNft, removeTable, replaceTable } from '../tools/nft.ts';
import { type AddressMove, arrivalTable, copySeal, openRules, shutRules } from './address-rules.ts';
import { tableName } from './names.ts';

export type ArrivingAddress = Pick<AddressMove, 'id' | 'own'>;

/** Before the copy has its devices; `parent` of its devices are those of this host. Undo: `removeArrival`. */
export async function sealArrival(run: Run, arriving: ArrivingAddress): Promise<void> {
  await applyNft(run, replaceTable(arrivalTable(arriving)));
}

/** For nft in the copy's namespace, before there is a device in it. */
export function copySealScript(arriving: ArrivingAddress): string {
  return replaceTable(copySeal(arriving));
}

/** Beside the commit record. */
export async function openArrival(run: Run, inside: Run, arriving: ArrivingAddress): Promise<void> {
  await Promise.all([
    applyNft(run, openRules(arriving, 'netdev', ['sent'])),
    applyNft(inside, openRules(arriving, 'inet', ['ingress', 'egress'])),
  ]);
}

/** It came to nothing after all: nobody hears the copy's sockets being closed. */
export async function shutArrival(run: Run, inside: Run, arriving: ArrivingAddress): Promise<void> {
  const rules = shutRules(arriving);
  await Promise.all([applyNft(run, rules.outside), applyNft(inside, rules.inside)]);
}

/** `inside` is undefined where the copy is gone; no error where nothing is there. */
export async function removeArrival(run: Run, inside: Run | undefined, { id }: ArrivingAddress): Promise<void> {
  const gone = (family: 'netdev' | 'inet') => removeTable({ family, name: tableName('own', id) });
  await Promise.all([applyNft(run, gone('netdev')), inside && applyNft(inside, gone('inet'))]);
}
