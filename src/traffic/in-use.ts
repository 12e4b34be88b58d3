/** Whether somebody on a bridge has an address already: asked by neighbour discovery, as any neighbour would. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../exec/run.ts';
import { applyIp, type Network, readNeighbours, readNetwork } from '../tools/ip-network.ts';
import { contains } from './address.ts';
import type { WorkloadAddress } from './facts.ts';
import { isOurDevice } from './names.ts';

export interface Question {
  /** A bridge of the host that is asked. */
  device: string;
  address: string;
  /** The workload's own: where both hosts' bridges are one network, it is the workload that answers. */
  mac: string;
}

/** Neighbours on a bridge answer within a millisecond. */
const PATIENCE_MS = 200;

/** Pure: what to ask on a host, whose bridges may have the workload's subnets. */
export function questionsFor(addresses: readonly WorkloadAddress[], { devices }: Network): Question[] {
  const bridges = devices.filter(({ kind, up }) => kind === 'bridge' && up);
  return addresses.flatMap(({ address, mac }) => {
    const device = bridges.find((bridge) =>
      bridge.addresses.some((own) => own.address !== address && contains(`${own.address}/${own.prefix}`, address)),
    );
    return device === undefined ? [] : [{ device: device.name, address, mac }];
  });
}

/** Which addresses somebody answered for, other than a forward of this host's. */
export async function answered(run: Run, questions: readonly Question[]): Promise<string[]> {
  if (questions.length === 0) return [];
  const [known, { devices }] = await Promise.all([readNeighbours(run), readNetwork(run)]);
  const isFixed = ({ device, address }: Question): boolean =>
    known.some((one) => one.device === device && one.address === address && one.state === 'PERMANENT');
  // A permanent entry is that of a stand-in, and says nothing of others.
  const open = questions.filter((question) => !isFixed(question));
  const entry = ({ device, address }: Question): string[] => [address, 'dev', device];
  await applyIp(
    run,
    open.map((question) => ['neighbour', 'replace', ...entry(question), 'nud', 'none', 'use']),
  );
  await sleep(PATIENCE_MS);
  const ours = devices.filter(({ name }) => isOurDevice(name)).map(({ mac }) => mac);
  const found = await readNeighbours(run);
  const answers = open.filter(({ device, address, mac }) => {
    const other = found.find((one) => one.device === device && one.address === address)?.mac;
    return other !== undefined && other !== mac && !ours.includes(other);
  });
  // As it was; the kernel may have dropped them by itself.
  for (const question of open) await applyIp(run, [['neighbour', 'delete', ...entry(question)]]).catch(() => {});
  return answers.map(({ address }) => address);
}
