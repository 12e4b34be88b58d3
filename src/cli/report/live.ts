/**
 * A migration while it goes on: one line a phase. Pure: events in, finished lines out, and the text of the line that is
 * still changing. What writes them to a terminal is progress.ts.
 */
import type { MigrationEvent, Phase, Proof } from '../../migration/events.ts';
import { type Look, pad, padLeft, printable } from './style.ts';
import { formatBytes, formatMs, formatRate } from './units.ts';

/** Phases may overlap: dump, transfer and sync do. The first is the one that was heard of last. */
export interface Live {
  active: ActivePhase[];
  /** Bytes by phase and by what was carried. */
  bytes: Partial<Record<Phase, Record<string, number>>>;
}

interface ActivePhase {
  name: Phase;
  /** Unix time in milliseconds. */
  since: number;
  progress?: Extract<MigrationEvent, { type: 'progress' }>;
}

export const NOTHING_YET: Live = { active: [], bytes: {} };

const SHOWN_DIFFERENCES = 20;

/** What the phases do, for people who see them for the first time. */
const DOES: Record<Phase, string> = {
  survey: 'look at the workload and both hosts',
  preflight: 'see whether it can move',
  prepare: 'image, files, the copy on the target',
  precopy: 'memory and files while it runs',
  freeze: 'hold it still',
  stop: 'stop it; new clients wait',
  dump: 'write its memory down',
  transfer: 'send what is left of it',
  sync: 'last differences of files',
  restore: 'make it again on the target',
  start: 'start it on the target',
  commit: 'hand over',
  release: 'let it go, clean up',
  undo: 'back to where it was',
  read: 'find what was typed, write the Dockerfile',
  build: 'build the image on the target',
  verify: 'compare its files with those of the container',
};

/** The next state, and the lines that will not change any more. */
export function advance(live: Live, event: MigrationEvent, look: Look): { live: Live; lines: string[] } {
  switch (event.type) {
    case 'phase':
      return { live: { ...live, active: [{ name: event.phase, since: event.time }, ...live.active] }, lines: [] };
    case 'progress': {
      const known = live.active.find(({ name }) => name === event.phase);
      const others = live.active.filter((phase) => phase !== known);
      const carried = { ...live.bytes[event.phase], [event.what]: event.bytes };
      const now = { name: event.phase, since: known?.since ?? event.time, progress: event };
      return { live: { active: [now, ...others], bytes: { ...live.bytes, [event.phase]: carried } }, lines: [] };
    }
    case 'span': {
      const { kind, name, ms } = event.span;
      if (kind !== 'phase') return { live, lines: [] };
      const active = live.active.filter((phase) => phase.name !== name);
      return { live: { ...live, active }, lines: [finished(name as Phase, ms, live, look)] };
    }
    case 'note':
      return { live, lines: [`${look.style.cyan('note')} ${printable(event.message)}`] };
    case 'waiting':
      return {
        live: { ...live, active: [] },
        lines: [`${look.style.yellow('waits')} ${printable(event.error.message)}`],
      };
    case 'proof':
      return { live, lines: proofLines(event, look) };
    case 'result':
      return { live: NOTHING_YET, lines: [] };
    case 'started':
    case 'findings':
      return { live, lines: [] };
    default:
      return event satisfies never;
  }
}

/** The changing line; null where there is none. `now` in Unix milliseconds. */
export function current(
  { active: [phase] }: Live,
  now: number,
  spinner: string,
  { style, width }: Look,
): string | null {
  if (phase === undefined) return null;
  const { name, since, progress } = phase;
  const about = [progress === undefined ? DOES[name] : printable(progress.what), ...amounts(progress)].join(' · ');
  return line(style.cyan(spinner), name, Math.max(0, now - since), style.dim(cut(about, width - 25)));
}

/** The score, and the first differences by name. */
function proofLines({ score, paths, differing, differences, from = 0 }: Proof, { style }: Look): string[] {
  if (from > 0) return [];
  const shown = differences.slice(0, SHOWN_DIFFERENCES);
  const lines = shown.map(
    ({ path, what }) => `  ${style.yellow('≠')} ${printable(path)} ${style.dim(printable(what))}`,
  );
  const more = differing - shown.length;
  if (more > 0) lines.push(style.dim(`  and ${more} more; all of them: --json`));
  return [`${style.bold(`${score} %`)} of ${paths} paths are alike`, ...lines];
}

/** No tick: the phase has ended, whether well or not is told by what comes next. */
function finished(name: Phase, ms: number, live: Live, { style, width }: Look): string {
  const bytes = Object.values(live.bytes[name] ?? {}).reduce((sum, each) => sum + each, 0);
  const about = DOES[name] + (bytes === 0 ? '' : ` · ${formatBytes(bytes)}`);
  return line(style.cyan('•'), name, ms, style.dim(cut(about, width - 25)));
}

function line(mark: string, name: string, ms: number, about: string): string {
  return `${mark} ${pad(name, 9)} ${padLeft(formatMs(ms), 10)}  ${about}`;
}

function amounts(progress: ActivePhase['progress']): string[] {
  if (progress === undefined) return [];
  const { bytes, total, rate } = progress;
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
