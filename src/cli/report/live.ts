/**
 * A migration while it goes on: one line a phase. Pure: events in, finished lines out, and the text of the line that is
 * still changing. What writes them to a terminal is live-writer.ts.
 */
import type { MigrationEvent, Phase } from '../../migration/events.ts';
import { type Look, pad, padLeft, printable } from './style.ts';
import { formatBytes, formatMs, formatRate } from './units.ts';

export interface Live {
  phase?: { name: Phase; since: number; bytes: number; what: string; total?: number; rate?: number };
}

/** What the phases do, for people who see them for the first time. */
const DOES: Record<Phase, string> = {
  survey: 'look at the workload and both hosts',
  preflight: 'see whether it can move',
  prepare: 'image, files, the copy on the target',
  precopy: 'memory and files while it runs',
  freeze: 'hold it still',
  dump: 'write its memory down',
  transfer: 'send what is left of it',
  sync: 'last differences of files',
  restore: 'make it again on the target',
  commit: 'hand over',
  release: 'let it go, clean up',
  undo: 'back to where it was',
};

/** The next state, and the lines that will not change any more. */
export function advance(live: Live, event: MigrationEvent, look: Look): { live: Live; lines: string[] } {
  switch (event.type) {
    case 'phase': {
      const next: Live = { phase: { name: event.phase, since: event.time, bytes: 0, what: '' } };
      return { live: next, lines: finished(live, event.time, look) };
    }
    case 'progress': {
      if (live.phase === undefined) return { live, lines: [] };
      const { bytes, what, total, rate } = event;
      const seen = { bytes, what, ...(total === undefined ? {} : { total }), ...(rate === undefined ? {} : { rate }) };
      return { live: { phase: { name: live.phase.name, since: live.phase.since, ...seen } }, lines: [] };
    }
    case 'note':
      return { live, lines: [`  ${look.style.cyan('note')} ${printable(event.message)}`] };
    case 'result':
      return { live: {}, lines: finished(live, event.time, look) };
    case 'started':
    case 'findings':
    case 'span':
      return { live, lines: [] };
    default:
      return event satisfies never;
  }
}

/** The changing line; null where there is none. `now` in Unix milliseconds. */
export function current({ phase }: Live, now: number, spinner: string, { style, width }: Look): string | null {
  if (phase === undefined) return null;
  const about = [phase.what === '' ? DOES[phase.name] : printable(phase.what), ...amounts(phase)].join(' · ');
  const head = `${style.cyan(spinner)} ${pad(phase.name, 9)} ${padLeft(formatMs(Math.max(0, now - phase.since)), 10)}  `;
  return head + style.dim(cut(about, width - 25));
}

function finished({ phase }: Live, now: number, { style, width }: Look): string[] {
  if (phase === undefined) return [];
  const sent = phase.bytes === 0 ? '' : ` · ${formatBytes(phase.bytes)}`;
  const time = padLeft(formatMs(Math.max(0, now - phase.since)), 10);
  return [`${style.green('✔')} ${pad(phase.name, 9)} ${time}  ${style.dim(cut(DOES[phase.name] + sent, width - 25))}`];
}

function amounts({ bytes, total, rate }: NonNullable<Live['phase']>): string[] {
  if (bytes === 0 && total === undefined) return [];
  const parts = [total === undefined ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(total)}`];
  if (rate !== undefined) parts.push(formatRate(rate));
  if (rate !== undefined && rate > 0 && total !== undefined && total > bytes) {
    parts.push(`${formatMs(((total - bytes) / rate) * 1000)} left`);
  }
  return parts;
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
