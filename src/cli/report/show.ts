/** `drayage show`: the whole story of one migration. */
import type { MigrateOptions } from '../../migration/events.ts';
import { renderFindings } from './finding.ts';
import { renderHeadline, renderPhases, renderReason } from './result.ts';
import { flatten, spanTree } from './spans.ts';
import { outageOf, rangeOf, type Story } from './story.ts';
import { type Look, pad, padLeft, printable } from './style.ts';
import { drawBar, drawOutage, outageColumns } from './timeline.ts';
import { formatMs, formatTime } from './units.ts';

export function renderStory(story: Story, look: Look): string {
  const parts = [header(story, look)];
  if (story.findings.length > 0) parts.push(renderFindings(story.findings, look));
  if (story.notes.length > 0) parts.push(story.notes.map((note) => `note    ${printable(note)}\n`).join(''));
  const steps = renderSpans(story, look);
  if (steps !== '') parts.push(steps);
  const { result } = story;
  if (result === undefined) parts.push(`under way\n${renderPhases(story, look)}`);
  else parts.push(renderHeadline(story, result, look) + renderReason(result, look));
  return parts.join('\n');
}

/** Every phase, step and outside program on its own line, as a tree by time. */
function renderSpans(story: Story, { style, width }: Look): string {
  const rows = flatten(spanTree(story.spans));
  if (rows.length === 0) return '';
  const range = rangeOf(story);
  const outage = outageOf(story);
  const names = Math.max(4, ...rows.map(({ span, depth }) => printable(span.name).length + 2 * depth));
  const columns = Math.max(10, Math.min(width, 130) - names - 34);
  const frozen = outageColumns(outage, range, columns);
  const paint = { phase: style.bold, step: (text: string) => text, program: style.dim };
  const lines = rows.map(({ span, depth }) => {
    const name = paint[span.kind](pad('  '.repeat(depth) + printable(span.name), names));
    const bar = drawBar({ label: span.name, ...span }, range, columns, frozen)
      .replace(/█+/g, style.red)
      .replace(/░+/g, style.cyan);
    return `${padLeft(formatMs(span.startMs), 11)}  ${name}  ${pad(span.side, 6)}  ${bar}${padLeft(formatMs(span.ms), 11)}`;
  });
  if (outage !== null) {
    const label = style.bold(pad('outage', names));
    const rule = style.red(drawOutage(outage, range, columns));
    lines.push(
      `${padLeft(formatMs(outage.startMs), 11)}  ${label}  ${pad('', 6)}  ${rule}${padLeft(formatMs(outage.ms), 11)}`,
    );
  }
  const title = `${padLeft('at', 11)}  ${pad('what', names)}  ${pad('on', 6)}  ${pad('', columns)}${padLeft('took', 11)}`;
  return `${[style.dim(title), ...lines].join('\n')}\n`;
}

function header({ id, started }: Story, { style }: Look): string {
  if (started === undefined) return `migration ${style.bold(id)}\n`;
  const { workload, source, target, options, time } = started;
  const way = `${style.bold(printable(workload))} from ${printable(source)} to ${printable(target)}`;
  const flags = optionFlags(options);
  return `migration ${style.bold(id)}: ${way}\n${style.dim(formatTime(time) + (flags === '' ? '' : ` · ${flags}`))}\n`;
}

function optionFlags(options: MigrateOptions): string {
  const flags: [boolean, string][] = [
    [options.remove, '--remove'],
    [options.carryBinds, '--carry-binds'],
    [options.dropConnections, '--drop-connections'],
    [options.handover !== 'auto', `--handover ${options.handover}`],
    [options.dryRun, '--dry-run'],
  ];
  return flags.flatMap(([set, flag]) => (set ? [flag] : [])).join(' ');
}
