/**
 * What becomes of a workload's traffic on the source after the commit. Nothing of it stops the workload: every step is
 * tried, whatever became of those before, and what went wrong is returned.
 */
import { readNetwork } from '../tools/ip-network.ts';
import { removeTable } from '../tools/nft.ts';
import { finishSource, remainingRules, removeSource, type SourceSide } from '../traffic/forward.ts';
import { endHold, releaseToTarget, removeHold } from '../traffic/hold.ts';
import { tableName } from '../traffic/names.ts';
import { removeForward, type StoredForward } from '../traffic/store.ts';
import { type Handover, isNeeded } from './handover.ts';
import { inTurn } from './in-turn.ts';
import { afterwards } from './older-forwards.ts';
import type { SourceMigration } from './source-migration.ts';

/**
 * What waited goes to the target, and so does all that comes. Nothing more comes from here: the frozen copy's sockets,
 * which are about to be closed, tell nobody.
 */
export function switchTraffic(m: SourceMigration, handover: Handover, side: SourceSide): Promise<unknown[]> {
  return inTurn(
    () => releaseToTarget(m.run, handover.held),
    async () => {
      if (isNeeded(side)) await finishSource(m.run, side);
    },
    // Where the queues could not be opened, what comes from now on finds its way without them.
    () => sealSource(m, handover, side),
  );
}

/** Once the source's copy is gone: the forward is kept for good, and the queues are not needed any more. */
export function settleForward(m: SourceMigration, handover: Handover, side: SourceSide): Promise<unknown[]> {
  const { held, homes, target, workload } = handover;
  const kept: StoredForward = {
    ...{ version: 1, role: 'source', id: m.id, workload, peer: target, since: Date.now() },
    ...{ side, before: { packets: 0, bytes: 0 } },
  };
  return inTurn(
    () => (isNeeded(side) ? m.forwards.put(kept) : removeSource(m.run, side)),
    () => removeHold(m.run, held),
    ...homes.map((home) => () => removeForward(m.run, m.forwards, home)),
  );
}

/** Once the target knows all that comes to it: hosts that the workload was on before need this one no more. */
export function leaveOlder(m: SourceMigration, { older, way }: Handover): Promise<unknown[]> {
  return inTurn(...older.map((one) => () => afterwards(m, one, way.hop.source)));
}

async function sealSource(m: SourceMigration, { held, homes }: Handover, side: SourceSide): Promise<void> {
  const network = await readNetwork(m.run);
  const present = network.devices.map(({ name }) => name);
  const over = homes.map(({ id }) => removeTable({ family: 'netdev', name: tableName('source', id) }));
  await endHold(m.run, held, [...over, remainingRules(side, network, held.lanes)].join('\n'), present);
}
