/** What is done for a move by restart while the workload runs on, if it runs. */
import type { TreeSync } from '../files/sync.ts';
import type { ContainerFacts } from './facts.ts';
import { type Handover, prepareHandover } from './handover.ts';
import { stopMsOf } from './plan-restart.ts';
import { disableRestart, type Logs, logsOf, prepareCopy, type Tree } from './prepare.ts';
import type { Prepared } from './prepared.ts';
import type { SourceMigration } from './source-migration.ts';
import { startedData } from './started.ts';
import { beginTreeSync } from './tree-sync.ts';
import type { UndoStack } from './undo.ts';

export interface PreparedRestart extends Pick<Prepared, 'started' | 'containerId' | 'handover' | 'addresses'> {
  facts: ContainerFacts;
  trees: readonly Tree<TreeSync>[];
  logs: Logs | undefined;
}

/** At the end the target's copy waits for the last differences of its files. */
export async function prepareRestart(
  m: SourceMigration,
  facts: ContainerFacts,
  undo: UndoStack,
): Promise<PreparedRestart> {
  const { workload } = facts;
  const restart = { running: workload.state === 'running', stopMs: stopMsOf(workload) };
  const started = startedData(m.id, workload, restart);
  const { containerId, trees } = await prepareCopy(m, { facts, started, begin: beginTreeSync }, undo);
  const logs = logsOf(m, facts);
  undo.push('the prepared transfers', async () => {
    for (const { sync } of trees) await sync[Symbol.asyncDispose]();
    await logs?.sync[Symbol.asyncDispose]();
  });
  m.bytes += (await logs?.sync.firstPass()) ?? 0;
  await m.target.settle(m.id);
  await disableRestart(m, started, undo);
  const handover = await m.trace.step('prepare handover', () => handoverOf(m, facts, undo));
  // What it has of its own on the LAN goes with its device: nobody has the address while it is stopped.
  return { facts, containerId, started, trees, logs, handover, addresses: undefined };
}

/** By uplinks only: the port of a container that is stopped is gone, and with it what was to be held there. */
function handoverOf(m: SourceMigration, facts: ContainerFacts, undo: UndoStack): Promise<Handover | undefined> {
  const { workload } = facts;
  const { traffic } = workload;
  if (traffic === undefined) return Promise.resolve(undefined);
  const addresses = traffic.addresses.map(({ port: _, ...address }) => address);
  return prepareHandover(m, { ...facts, workload: { ...workload, traffic: { ...traffic, addresses } } }, undo);
}
