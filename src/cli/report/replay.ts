/** A Dockerfile that was made from a session, and what became of its commands. */
import type { Fate } from '../../replay/dockerfile/steps.ts';
import type { ReplayDraft } from '../../replay/draft.ts';
import { type Look, printable } from './style.ts';

const BECAME: Record<Fate, string> = {
  run: 'run again',
  state: 'carried as state of the shell',
  file: 'copied as files',
  look: 'only looked',
  failed: 'failed',
  blocks: 'cannot run in a build',
  secret: 'left out for a secret',
};

export function renderDraft(
  { dockerfile, commands }: Pick<ReplayDraft, 'dockerfile' | 'commands'>,
  { style }: Look,
): string {
  const counts = new Map<Fate, number>();
  for (const { fate } of commands) counts.set(fate, (counts.get(fate) ?? 0) + 1);
  const fates = [...counts].map(([fate, count]) => `${count} ${BECAME[fate]}`).join(', ');
  const lines = dockerfile
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line.startsWith('#') ? style.dim(printable(line)) : printable(line)}`);
  return `${commands.length} commands were typed: ${fates}.\n\n${lines.join('\n')}\n\n`;
}
