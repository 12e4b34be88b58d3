/** How a migration ended of which one end is an archive; undefined for others. */
import { ARCHIVE } from '../../migration/archive/archive-outcome.ts';
import type { MigrationResult } from '../../migration/events.ts';
import type { Story } from './story.ts';
import { type Look, printable } from './style.ts';

export function archiveHeadline(
  { outcome, keptAs }: MigrationResult,
  started: Story['started'],
  { workload, style }: { workload: string; style: Look['style'] },
): string | undefined {
  if (started === undefined) return undefined;
  const { source, target, options } = started;
  const [from, to] = [nameOf(source), nameOf(target)];
  if (to !== undefined) {
    const here = printable(source);
    const kept = keptAs === undefined ? '' : ` as ${printable(keptAs)}`;
    const left = options.leaveRunning ? `goes on running on ${here}` : `is stopped on ${here}${kept}, and runs nowhere`;
    if (outcome === 'committed') return `${style.green('✔')} ${workload} is in ${style.bold(to)}, and ${left}`;
    if (outcome === 'undone')
      return `${style.yellow('↩')} undone: ${workload} goes on running on ${here}; there is no archive`;
    return `${style.red('?')} in doubt: ${workload} is held still on ${here} until it is known whether ${to} is whole`;
  }
  if (from === undefined) return undefined;
  const here = printable(target);
  if (outcome === 'committed') return `${style.green('✔')} ${workload} of ${from} now runs on ${style.bold(here)}`;
  if (outcome === 'undone')
    return `${style.yellow('↩')} undone: nothing of ${workload} is on ${here}; the archive is as it was`;
  return `${style.red('?')} in doubt: it cannot be told whether ${workload} has run on ${here}`;
}

function nameOf(end: string): string | undefined {
  if (!end.startsWith(ARCHIVE)) return undefined;
  const path = end.slice(ARCHIVE.length);
  return path === '-' ? 'the archive' : printable(path);
}
