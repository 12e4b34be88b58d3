/** The report of a measurement: one HTML file that needs nothing else. */
import type { Samples } from '../../../measure/samples.ts';
import type { Round, Summary } from '../../../measure/summarise.ts';
import { typical } from '../figures.ts';
import { formatMs, formatTime } from '../units.ts';
import { escapeMarkup } from './markup.ts';
import { domainsOf, momentChart, smallChart } from './moment.ts';
import { overviewChart } from './overview.ts';
import { STYLE } from './style.ts';
import { detailsOf, roundsTable, tilesOf } from './tables.ts';

export interface ReportData {
  /** What was measured. */
  title: string;
  summary: Summary;
  samples: Samples;
}

export function htmlReport({ title, summary, samples: all }: ReportData): string {
  const samples = [...all].sort((a, b) => a.atMs - b.atMs);
  const { rounds } = summary;
  const shown = typical(summary) ?? rounds[0];
  const domains = domainsOf(rounds, samples);
  const sections = [
    shown &&
      card(`Round ${shown.round}, ${describe(shown, rounds.length)}`, LEGEND, momentChart(shown, samples, domains)),
    rounds.length > 1 &&
      card(
        'Every round',
        'Latency of each request around the outage, all on the same scale.',
        `<div class="small">${rounds.map((round) => figure(round, smallChart(round, samples, domains))).join('')}</div>`,
      ),
    card(
      'All of the time',
      rounds.length > 0 ? 'Moves are numbered; outages are red.' : '',
      overviewChart(summary, samples),
    ),
    rounds.length > 0 && card('Round by round', '', `<div class="wide">${roundsTable(summary)}</div>`),
    card('How it was measured', '', detailsOf(summary)),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)} · drayage</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeMarkup(title)}</h1>
<p>${escapeMarkup(subtitle(summary))}</p>
${tilesOf(summary)}
${sections.filter((section) => typeof section === 'string').join('\n')}
<footer>Made by drayage ${rounds.length > 0 ? 'bench' : 'probe'}. Times are milliseconds of the measuring host’s monotonic clock.</footer>
</main>
</body>
</html>
`;
}

const LEGEND = `Behind it the phases of the move:<i class="key" style="background:var(--running);opacity:.45"></i>the workload runs on the source<i class="key" style="background:var(--frozen);opacity:.6"></i>it stands still<i class="key" style="background:var(--released);opacity:.45"></i>it runs on the target`;

function subtitle({ startedAt, durationMs, rounds, requests, connections }: Summary): string {
  const parts = [`${formatTime(startedAt)}, ${formatMs(durationMs)}`];
  const [first] = rounds;
  if (first !== undefined) {
    const { source, target } = first.move;
    parts.push(
      rounds.length === 1 ? `from ${source} to ${target}` : `${rounds.length} moves between ${source} and ${target}`,
    );
  }
  if (requests.sent > 0) parts.push(`${Math.round((requests.sent / durationMs) * 1000)} new requests a second`);
  if (connections !== null)
    parts.push(`${connections.count} long-lived ${connections.speak === 'tcp' ? 'TCP' : 'HTTP'} connections`);
  return parts.join(' · ');
}

function describe({ move }: Round, rounds: number): string {
  return `to ${move.target}${rounds > 1 ? ': the one whose outage is the median' : ''}`;
}

function figure({ round, move, longestGap }: Round, chart: string): string {
  const outage = move.outageMs === null ? move.outcome : `outage ${formatMs(move.outageMs)}`;
  const gap = longestGap === null ? '' : ` · gap ${formatMs(longestGap.ms)}`;
  return `<figure><figcaption><b>${round}</b> to ${escapeMarkup(move.target)} · ${outage}${gap}</figcaption>${chart}</figure>`;
}

/** `content` and `text` are markup. */
function card(title: string, text: string, content: string): string {
  return `<section class="card"><h2>${escapeMarkup(title)}</h2>${text === '' ? '' : `<p>${text}</p>`}${content}</section>`;
}
