/** Reads which connections of a workload are open: from its network namespace, and from this host's connection tracking. */
import { readFile } from 'node:fs/promises';
import type { Run } from '../exec/run.ts';
import { trackedFlows } from '../tools/conntrack.ts';
import { parseInetSockets } from '../tools/proc-net.ts';
import type { Flow, WorkloadAddress } from '../traffic/facts.ts';
import { openFlows } from '../traffic/flows.ts';

/** @param pid of one of the workload's processes */
export async function readFlows(run: Run, pid: number, addresses: readonly WorkloadAddress[]): Promise<Flow[]> {
  const table = (name: string): Promise<string> => readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => '');
  const [tracked, ...tables] = await Promise.all([
    trackedFlows(
      run,
      addresses.map(({ address }) => address),
    ),
    table('tcp'),
    table('tcp6'),
  ]);
  const sockets = tables.flatMap(parseInetSockets);
  const listening = sockets.filter(({ state }) => state === 'LISTEN').map(({ local }) => local.port);
  return openFlows({ tracked: tracked ?? [], sockets, addresses, listening });
}
