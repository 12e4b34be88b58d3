/** What CRIU must be told of a workload's processes, so that it dumps what it would otherwise refuse. */
import type { ProcessFacts } from '../facts.ts';
import { GHOST_LIMIT } from './obstacles.ts';

/**
 * Lines of CRIU's configuration file for a dump, besides what runc passes on by flags. Tried with CRIU 4.2.1:
 * `link-remap` for open files that lost one of several names; `irmap-scan-path` for what inotify watches on overlayfs.
 */
export function dumpOptions(
  processes: readonly ProcessFacts[],
  { dropConnections }: { dropConnections: boolean },
): string[] {
  const watched = processes.flatMap(({ obstacles }) => obstacles.filter(({ kind }) => kind === 'inotify-path'));
  return [
    `ghost-limit ${GHOST_LIMIT}`,
    'link-remap',
    ...(dropConnections ? ['tcp-close', 'skip-in-flight'] : []),
    ...new Set(watched.map(({ detail }) => `irmap-scan-path ${detail}`)),
  ];
}
