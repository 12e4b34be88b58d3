/** How a workload's traffic arrives with it, on the target: rules for what comes by way of each host that it was on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../exec/run.ts';
import type { PublishedPort, WorkloadAddress } from '../traffic/facts.ts';
import { removeTarget, type TargetSide } from '../traffic/forward.ts';
import type { ForwardStore, StoredForward } from '../traffic/store.ts';
import type { JournalRecord } from './journal-records.ts';
import { repoint, UNDER_WAY_MS } from './older-forwards.ts';
import type { ArrivingTraffic, OlderForward } from './target-port.ts';

export interface Arrival {
  sides: (Pick<StoredForward, 'id' | 'workload' | 'peer'> & { side: TargetSide })[];
  /** Of these, those that nothing will come by any more once what was held back has arrived. */
  passing: TargetSide[];
  /** Forwards of this very host, to which the workload comes home. */
  home: OlderForward[];
}

interface ArrivalOptions {
  id: string;
  workload: string;
  traffic: ArrivingTraffic;
  /** Ports that lead to it, here as there. */
  published: readonly PublishedPort[];
  /** By which address the copy is found in the place of one that it did not get; null where by none. */
  moved: Readonly<Record<string, string | null>>;
  /** Those of others on its networks here. */
  taken: ReadonlySet<string>;
  /** Devices of its networks on this host, by the networks' names. */
  bridges: ReadonlyMap<string, string>;
}

/** Pure. Neighbours that stayed keep their addresses, but for those that somebody has here. */
export function arrivalOf({ id, workload, traffic, published, moved, taken, bridges }: ArrivalOptions): Arrival {
  const copies = new Set(Object.values(moved));
  const here = (addresses: readonly WorkloadAddress[]): WorkloadAddress[] =>
    addresses.flatMap(({ port: _, by: __, network = '', ...one }) => {
      const bridge = bridges.get(network);
      if (!bridge) return [];
      const by = moved[one.address];
      const peers = one.peers.filter((peer) => !taken.has(peer) && !copies.has(peer));
      return [{ ...one, network, bridge, peers, ...(by && { by }) }];
    });
  const { addresses, flows, hop, tunnel, from, older, only } = traffic;
  const own: TargetSide = {
    id,
    addresses: here(addresses),
    published,
    flows,
    hop,
    rank: older.length,
    ...(tunnel && { tunnel }),
    ...(only === 'open' && { only }),
  };
  const others = older.flatMap((one) =>
    one.hop === undefined
      ? []
      : [
          {
            ...{ id: one.id, workload: one.workload, peer: one.peer },
            side: {
              ...{ id: one.id, addresses: here(one.addresses), flows: one.flows, hop: one.hop, rank: one.rank },
              published,
              ...(one.tunnel && { tunnel: one.tunnel }),
            },
          },
        ],
  );
  return {
    sides: [...others, { id, workload, peer: from, side: own }],
    passing: only === 'none' ? [own] : [],
    home: older.filter((one) => one.home),
  };
}

/** As the record `ready` has it, which is on disk where `committed` is. */
export function arrivalIn(records: readonly JournalRecord[]): Arrival | undefined {
  const ready = records.find((record) => record.type === 'state' && record.state === 'ready');
  return ready?.type === 'state' ? (ready.data as { arrival?: Arrival } | undefined)?.arrival : undefined;
}

/** After the commit. May be repeated. */
export async function keepArrival(run: Run, store: ForwardStore, { sides, passing, home }: Arrival): Promise<void> {
  for (const one of sides) {
    if (!passing.some(({ id }) => id === one.id))
      await store.put({ version: 1, role: 'target', since: Date.now(), ...one });
  }
  const kept = await store.list();
  // What comes to here now is not to overtake what the other host had kept back.
  if (home.length > 0) await sleep(UNDER_WAY_MS);
  for (const { id, flows } of home) {
    const isOurs = kept.some((one) => one.role === 'source' && one.id === id);
    if (isOurs) await repoint(run, store, id, { home: true, flows });
  }
  // And what is on its way by the other host still is not to be taken for what is asked of this one.
  if (home.length > 0 && passing.length > 0) await sleep(UNDER_WAY_MS);
  for (const side of passing) await removeTarget(run, side);
}
