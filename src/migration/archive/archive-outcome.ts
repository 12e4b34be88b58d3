/** What became of an archive that was being written when the agent was stopped: a target that only answers for it. */
import { rm, stat } from 'node:fs/promises';
import { partialOf } from '../../archive/output.ts';
import { DrayageError } from '../../errors.ts';
import type { TargetOutcome, TargetPort } from '../target-port.ts';

/** How a migration to an archive names its target; `archive:-` is a stream. */
export const ARCHIVE = 'archive:';

export function archiveOutcome(path: string): TargetPort {
  const no = (): never => {
    throw new DrayageError('INTERNAL', 'An archive of the past can only be asked what became of it.');
  };
  return {
    oneWay: true,
    ...{ survey: no, open: no, channel: no, settle: no, create: no, begin: no, prune: no, network: no, repoint: no },
    ...{ inUse: no, path: no, surveyTree: no, start: no, restore: no, commit: no, release: no, abort: no },
    outcome: () => outcomeOf(path),
    resolve: async () => {},
    lost: new Promise(() => {}),
    close: async () => {},
  };
}

/**
 * The file has its name once it is whole. Where it has neither that nor the one from before, somebody took it away: it
 * may be anywhere.
 */
async function outcomeOf(path: string): Promise<TargetOutcome> {
  if (path === '-') return 'unknown';
  if (await isThere(partialOf(path))) {
    await rm(partialOf(path));
    return 'aborted';
  }
  return (await isThere(path)) ? 'committed' : 'unknown';
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** What an export that was undone by a restart has left. */
export async function removeLeftPartial(to: string): Promise<void> {
  if (to.startsWith(ARCHIVE)) await rm(partialOf(to.slice(ARCHIVE.length)), { force: true });
}
