/**
 * Forwards of hosts that a workload was on before, when it moves again. No chain is left: each of these hosts forwards
 * straight to where the workload is, and none where it has come home. One that cannot be reached goes on by way of here.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import { readNetwork } from '../tools/ip-network.ts';
import type { Flow, Hop } from '../traffic/facts.ts';
import { changeSource, flowsKnown } from '../traffic/forward.ts';
import { type ForwardStore, removeForward, type StoredForward } from '../traffic/store.ts';
import { dropTunnel, type Tunnel } from '../traffic/tunnel.ts';
import { type Way, wayBetween } from '../traffic/way.ts';
import type { SourceMigration } from './source-migration.ts';
import type { HostNetwork, OlderForward, TargetPort } from './target-port.ts';

/** For packets that are under way between hosts. */
export const UNDER_WAY_MS = 50;

export type Older = {
  forward: StoredForward & { role: 'target' };
  /** Connections that came by way of it, at the freeze. */
  passing: Flow[];
  rank: number;
} & (
  | /** The target is that host. */ { kind: 'home' }
  | /** It will be told of the target. */ { kind: 'straight'; way: Way; host: TargetPort }
  | { kind: 'relayed' }
);

/** Whether clients that know the target as the workload's own host reach it there again. */
export function comesHome({ kind, forward }: Older): boolean {
  return kind === 'home' && forward.side.only !== 'open';
}

/** `homes` are this host's own, of the time before the workload came home to it, or was made here anew. */
export async function olderForwards(
  m: SourceMigration,
  name: string,
  target: HostNetwork,
): Promise<{ older: Older[]; homes: (StoredForward & { role: 'source' })[] }> {
  const stored = (await m.forwards.list()).filter((one) => nameOf(one.workload) === name);
  const kept = stored.filter((one) => one.role === 'target');
  const homes = stored.filter((one) => one.role === 'source');
  const older = await Promise.all(
    kept.map(async (forward, rank): Promise<Older> => {
      const common = { forward, passing: [], rank };
      if (forward.peer.machine === target.machine) return { ...common, kind: 'home' };
      try {
        const host = await m.reach(forward.peer.name);
        const { network } = await host.network();
        const bridges = [...network.devices, ...target.network.devices].filter(({ kind }) => kind === 'bridge');
        const way = wayBetween(network, target.network, { bridges: bridges.map((one) => one.name) });
        if (way !== null) return { ...common, kind: 'straight', way, host };
        await host.close();
      } catch (error) {
        const why = DrayageError.from(error).message;
        m.emit({ type: 'note', message: `what comes to ${forward.peer.name} goes on by way of this host: ${why}` });
      }
      return { ...common, kind: 'relayed' };
    }),
  );
  return { older, homes };
}

export function arrivingOlder({ forward: { id, side, workload, peer }, passing, rank, ...one }: Older): OlderForward[] {
  const common = { id, workload, peer, addresses: [...side.addresses], flows: passing, rank };
  switch (one.kind) {
    case 'home':
      return [{ ...common, home: true }];
    case 'straight': {
      const { hop, tunnel } = one.way;
      return [{ ...common, home: false, hop: hop.target, ...(tunnel && { tunnel: tunnel.target }) }];
    }
    case 'relayed':
      return [];
    default:
      return one satisfies never;
  }
}

/** After the commit: that host is told, and this one passes nothing on any more. */
export async function afterwards(m: SourceMigration, older: Older, onward: Hop): Promise<void> {
  const { forward, passing } = older;
  if (older.kind === 'straight') {
    const { hop, tunnel } = older.way;
    try {
      await older.host.repoint(forward.id, {
        hop: hop.source,
        ...(tunnel && { tunnel: tunnel.source }),
        flows: passing,
        peer: { name: m.to, machine: (await m.target.network()).machine },
      });
    } catch (error) {
      const why = DrayageError.from(error).message;
      m.emit({ type: 'note', message: `what comes to ${forward.peer.name} goes on by way of this host: ${why}` });
      return m.forwards.put({ ...forward, side: { ...forward.side, onward } });
    } finally {
      await older.host.close().catch(() => {});
    }
  }
  if (older.kind === 'relayed') return m.forwards.put({ ...forward, side: { ...forward.side, onward } });
  await sleep(UNDER_WAY_MS);
  await removeForward(m.run, m.forwards, forward);
}

export interface Repointed {
  hop: Hop;
  tunnel?: Tunnel;
  flows: Flow[];
  peer: { name: string; machine: string };
}

/** On the host that a workload left: it has moved on, or (`home`) has come back. @throws DrayageError FORWARD_UNKNOWN */
export async function repoint(
  run: Run,
  store: ForwardStore,
  id: string,
  to: Repointed | { home: true; flows: Flow[] },
): Promise<void> {
  const forward = await store.get('source', id);
  if (forward.role !== 'source') return;
  const flows = await flowsKnown(run, forward.side, to.flows);
  const { tunnel: _, ...side } = forward.side;
  if ('home' in to && flows.length === 0) return removeForward(run, store, forward);
  const changed: StoredForward =
    'home' in to
      ? { ...forward, side: { ...side, hop: 'home', only: 'open', flows } }
      : { ...forward, side: { ...side, hop: to.hop, ...(to.tunnel && { tunnel: to.tunnel }), flows }, peer: to.peer };
  await store.exclusively(async () => {
    await changeSource(run, changed.side);
    await store.put(changed);
    if (forward.side.tunnel !== undefined) await dropTunnel(run, forward.side.tunnel);
  });
}

export async function hostNetwork(run: Run, machine: string): Promise<HostNetwork> {
  return { machine, network: await readNetwork(run) };
}

function nameOf(workload: string): string {
  return workload.slice(workload.indexOf(':') + 1);
}
