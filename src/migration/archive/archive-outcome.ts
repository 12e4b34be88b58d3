/** What became of an archive that was being written when the agent was stopped: a target that only answers for it. */
import { lstat, rm } from 'node:fs/promises';
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
    ...{
      survey: no,
      open: no,
      channel: no,
      settle: no,
      create: no,
      begin: no,
      prune: no,
      rewrite: no,
      network: no,
      repoint: no,
    },
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
  const [partial, whole] = await Promise.all([inodeOf(partialOf(path)), inodeOf(path)]);
  if (partial !== undefined) await rm(partialOf(path));
  if (partial !== undefined && partial !== whole) return 'aborted';
  return whole === undefined ? 'unknown' : 'committed';
}

/** For a moment a file that is whole has both names. */
function inodeOf(path: string): Promise<string | undefined> {
  return lstat(path).then(
    ({ dev, ino }) => `${dev} ${ino}`,
    () => undefined,
  );
}

/** What an export that was undone by a restart has left. */
export async function removeLeftPartial(to: string): Promise<void> {
  if (to.startsWith(ARCHIVE)) await rm(partialOf(to.slice(ARCHIVE.length)), { force: true });
}
