/** How a migration ended: outcome, numbers, timeline, and the error if there is one. */
import type { MigrationResult } from '../../migration/events.ts';
import { archiveHeadline } from './archive-headline.ts';
import { renderError } from './finding.ts';
import { outageOf, phaseBars, rangeOf, STILL, type Story } from './story.ts';
import { type Look, printable } from './style.ts';
import { renderTimeline } from './timeline.ts';
import { formatBytes, formatMs } from './units.ts';

/** A frozen stretch that takes less than this share of the timeline is drawn once more on a scale of its own. */
const ZOOM_BELOW = 0.3;

export function renderOutcome(story: Story, look: Look): string {
  const { result } = story;
  if (result === undefined) return '';
  return `${renderHeadline(story, result, look)}${renderPhases(story, look)}${renderReason(result, look)}`;
}

/** What became of it, and the numbers. */
export function renderHeadline(story: Story, result: MigrationResult, look: Look): string {
  return `${headline(result, story, look)}\n  ${numbers(result, story)}\n`;
}

/** Why it was undone or is in doubt; empty for a move that went well. */
export function renderReason({ error }: MigrationResult, look: Look): string {
  return error === undefined ? '' : `\n${renderError(error, look)}`;
}

/** The timeline of the phases, and once more of the outage alone where that is too short to be seen. */
export function renderPhases(story: Story, look: Look): string {
  const bars = phaseBars(story);
  if (bars.length === 0) return '';
  const outage = outageOf(story);
  const range = rangeOf(story);
  const whole = `\n${renderTimeline(bars, outage, range, look)}`;
  if (outage === null || outage.ms === 0 || outage.ms > range.ms * ZOOM_BELOW) return whole;
  const inside = bars.filter((b) => b.startMs + b.ms > outage.startMs && b.startMs < outage.startMs + outage.ms);
  return `${whole}\n  ${look.style.dim('the outage, enlarged')}\n${renderTimeline(inside, outage, outage, look)}`;
}

function headline(result: MigrationResult, story: Story, { style }: Look): string {
  const { started, phases } = story;
  const isReplay = phases.some(({ name }) => name === 'read');
  const workload = style.bold(printable(started?.workload ?? result.id));
  const source = printable(started?.source ?? 'the source');
  const target = printable(started?.target ?? 'the target');
  const archived = archiveHeadline(result, started, { workload, style });
  if (archived !== undefined) return archived;
  switch (result.outcome) {
    case 'committed': {
      if (result.rebuilt !== undefined) {
        const { image, score } = result.rebuilt;
        const runs = result.targetId === undefined ? 'is not started' : 'runs';
        return `${style.green('✔')} ${workload} was rebuilt on ${style.bold(target)} as ${printable(image)}, ${score} % alike, and ${runs}; the one on ${source} is as it was`;
      }
      const kept =
        result.keptAs === undefined ? `no copy is kept on ${source}` : `kept stopped on ${source} as ${result.keptAs}`;
      const now = neverRan(story) ? 'is now stopped on' : 'now runs on';
      return `${style.green('✔')} ${workload} ${now} ${style.bold(target)} (${printable(kept)})`;
    }
    case 'undone':
      if (isReplay)
        return `${style.yellow('↩')} undone: ${workload} was not rebuilt; the one on ${source} is as it was`;
      if (result.error?.code === 'WORKLOAD_ENDED')
        return `${style.red('✘')} undone, but ${workload} has ended on ${style.bold(source)}`;
      return `${style.yellow('↩')} undone: ${workload} ${goneBack(story)} ${style.bold(source)}${wasStopped(story) ? '' : ', nothing is lost'}`;
    case 'unknown':
      return `${style.red('?')} in doubt: ${workload} is held still on ${source} until it is known whether it runs on ${target}`;
    default:
      return result.outcome satisfies never;
  }
}

function goneBack(story: Story): string {
  if (neverRan(story)) return 'stays stopped on';
  return wasStopped(story) ? 'was started again on' : 'goes on running on';
}

function wasStopped(story: Story): boolean {
  return !neverRan(story) && story.phases.some(({ name }) => name === 'stop');
}

/** Of a container that does not run preflight says so. */
function neverRan({ findings }: Story): boolean {
  return findings.some(({ code }) => code === 'STAYS_STOPPED');
}

function numbers({ outageMs, totalMs, bytes }: MigrationResult, story: Story): string {
  const parts = [`total ${formatMs(totalMs)}`, `${formatBytes(bytes)} sent`];
  if (outageMs !== null) parts.unshift(`outage ${formatMs(outageMs)}`);
  else if (!phaseBars(story).some(({ label }) => STILL.includes(label))) parts.unshift('never stopped');
  return parts.join(' · ');
}
