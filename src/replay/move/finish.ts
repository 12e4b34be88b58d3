/** The last step of a replay, whose answer may be lost on its way: then the journal of the target is asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkloadFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import type { SourceMigration } from '../../migration/source-migration.ts';
import { type Finished, imageName, type ReplayTarget } from './target-port.ts';

/** Seconds in which an agent that was killed is there again. */
const ATTEMPTS = 10;

/** @throws whatever the target has failed with, or TARGET_LOST where it has not finished, or nobody can say */
export async function finish(
  m: SourceMigration,
  target: ReplayTarget,
  { ref }: Pick<WorkloadFacts, 'ref'>,
  start: boolean,
): Promise<Finished> {
  try {
    return await target.finish(m.id, start);
  } catch (error) {
    const isLost = m.cancelled?.code === 'TARGET_LOST' || DrayageError.from(error).code === 'AGENT_LOST';
    if (!isLost || !(await isFinished(m))) throw error;
    const notes = ['the connection was lost at the end; the target had finished'];
    // The engine takes a name for an id.
    return { image: imageName(ref.name, m.id), notes, ...(start && { containerId: ref.name }) };
  }
}

async function isFinished(m: SourceMigration): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS && !m.stopping.aborted; attempt++) {
    await sleep(1000, undefined, { signal: m.stopping }).catch(() => {});
    try {
      const target = await m.redial();
      return (await target.outcome(m.id).finally(() => target.close())) === 'committed';
    } catch {
      // Its agent is not back, or has not come to this replay yet.
    }
  }
  return false;
}
