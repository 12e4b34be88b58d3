/** What CRIU must be told of a workload's processes, so that it dumps what it would otherwise refuse. */
import type { ProcessFacts } from '../facts.ts';
import { GHOST_LIMIT } from './obstacles.ts';

/**
 * Lines of CRIU's configuration file for a dump, besides what runc passes on by flags: `irmap-scan-path` for what
 * inotify watches on overlayfs (tried with CRIU 4.2.1). Not `link-remap`, for open files that lost one of several
 * names: it makes new names while it dumps, which the last pass over the files would miss.
 */
export function dumpOptions(
  processes: readonly ProcessFacts[],
  { dropConnections }: { dropConnections: boolean },
): string[] {
  const watched = processes.flatMap(({ obstacles }) => obstacles.filter(({ kind }) => kind === 'inotify-path'));
  return [
    `ghost-limit ${GHOST_LIMIT}`,
    ...(dropConnections ? ['tcp-close', 'skip-in-flight'] : []),
    ...new Set(watched.map(({ detail }) => `irmap-scan-path ${detail}`)),
  ];
}
