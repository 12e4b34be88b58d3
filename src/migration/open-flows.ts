/** Reads which connections of a workload are open, of its network namespace and of this host's connection tracking. */
import { readFile } from 'node:fs/promises';
import { parseConntrack } from '../tools/conntrack.ts';
import { parseInetSockets } from '../tools/proc-net.ts';
import type { Flow, WorkloadAddress } from '../traffic/facts.ts';
import { openFlows } from '../traffic/flows.ts';

/** @param pid of one of the workload's processes */
export async function readFlows(pid: number, addresses: readonly WorkloadAddress[]): Promise<Flow[]> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const [tracked, ...tables] = await Promise.all(
    ['/proc/net/nf_conntrack', `/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`].map(read),
  );
  const sockets = tables.flatMap(parseInetSockets);
  const listening = sockets.filter(({ state }) => state === 'LISTEN').map(({ local }) => local.port);
  return openFlows({ tracked: parseConntrack(tracked ?? ''), sockets, addresses, listening });
}
