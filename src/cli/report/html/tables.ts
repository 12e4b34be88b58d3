/** The figures of a report: tiles for what counts most, a table of the rounds, and what else there is to know. */
import { FAILURE_MEANINGS, type Failure } from '../../../measure/failure.ts';
import type { Percentiles } from '../../../measure/percentiles.ts';
import type { Round, Summary } from '../../../measure/summarise.ts';
import { formatMs } from '../units.ts';
import { escapeMarkup } from './markup.ts';

export function tilesOf(summary: Summary): string {
  const { rounds, outageMs, longestGap, requests, connections, latency } = summary;
  const tiles: string[] = [];
  if (outageMs !== null) {
    const range = `${formatMs(outageMs.min)} to ${formatMs(outageMs.max)}`;
    tiles.push(tile(formatMs(outageMs.median), rounds.length > 1 ? `outage, median · ${range}` : 'outage'));
  }
  if (longestGap !== null) tiles.push(tile(formatMs(longestGap.ms), 'longest gap that any client saw'));
  if (requests.sent > 0) {
    tiles.push(tile(String(requests.failed), `failed of ${requests.sent} requests`, requests.failed));
    if (rounds.length === 0) tiles.push(tile(ms(latency.p99), 'p99 of latency'));
  }
  if (connections !== null) {
    const { lost = 0, repeated = 0 } = connections.incidents;
    tiles.push(tile(String(connections.broken), `broken of ${connections.count} connections`, connections.broken));
    tiles.push(tile(String(lost + repeated), `lost or repeated of ${connections.answered} messages`, lost + repeated));
  }
  return `<div class="tiles">${tiles.join('')}</div>`;
}

function tile(value: string, label: string, wrong?: number): string {
  const kind = wrong === undefined ? '' : wrong === 0 ? ' good' : ' bad';
  return `<div class="tile${kind}"><b>${escapeMarkup(value)}</b><span>${escapeMarkup(label)}</span></div>`;
}

const HEADER = [
  ...['#', 'to', 'outage', 'longest gap', 'failed', 'broken', 'lost', 'repeated'],
  ...['p99 before', 'during', 'after', 'worst'],
];

export function roundsTable({ rounds, outageMs, longestGapMs }: Summary): string {
  const foot = [
    ['', 'median', ms(outageMs?.median ?? null), ms(longestGapMs?.median ?? null)],
    ['', 'worst', ms(outageMs?.max ?? null), ms(longestGapMs?.max ?? null)],
  ].map((cells) => row([...cells, ...HEADER.slice(cells.length).map(() => '')]));
  return `<table><thead><tr>${HEADER.map((title) => `<th>${title}</th>`).join('')}</tr></thead>
<tbody>${rounds.map((round) => row(cellsOf(round))).join('')}</tbody>${rounds.length > 1 ? `<tfoot>${foot.join('')}</tfoot>` : ''}</table>`;
}

function cellsOf({ round, move, longestGap, requests, connections, latency, latencyBy }: Round): string[] {
  const { lost = 0, repeated = 0 } = connections?.incidents ?? {};
  const counts = connections === null ? ['–', '–', '–'] : [connections.broken, lost, repeated].map(verdict);
  const { before, during, after } = latencyBy;
  return [
    String(round),
    escapeMarkup(move.target),
    move.outcome === 'committed' ? ms(move.outageMs) : move.outcome,
    ms(longestGap?.ms ?? null),
    verdict(requests.failed),
    ...counts,
    ...[before.p99, during.p99, after.p99, latency.max].map(ms),
  ];
}

/** Cells are markup. */
function row(cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

export function detailsOf({ requests, connections, latency, lag, longestGap }: Summary): string {
  const items: [string, string][] = [];
  if (requests.sent > 0) {
    items.push([
      'requests',
      'sent at a fixed rate whatever comes back, each on a connection of its own; latency counts from when it was to be sent',
    ]);
    items.push(['latency, all', spelled(latency)]);
  }
  for (const [kind, count] of Object.entries(requests.failures) as [Failure, number][]) {
    items.push([`failed: ${kind}`, `${count}, ${FAILURE_MEANINGS[kind]}`]);
  }
  if (connections !== null) {
    items.push([
      'connections',
      connections.speak === 'tcp'
        ? 'numbered lines, each answered by itself: every loss, repeat and change of order shows'
        : 'numbered requests on kept-alive connections, one after another',
    ]);
    const incidents = Object.entries(connections.incidents).flatMap(([kind, count]) =>
      count > 0 ? [`${count} ${kind}`] : [],
    );
    items.push([
      'on them',
      `${connections.answered} messages answered; ${incidents.join(', ') || 'nothing went wrong'}`,
    ]);
  }
  if (longestGap !== null) {
    items.push([
      'longest gap',
      `the longest time for which all new requests, one request or one connection waited for an answer that was due`,
    ]);
  }
  items.push([
    'own lag',
    `requests left p99 ${ms(lag.p99)}, at most ${ms(lag.max)} late: what the measuring host itself adds`,
  ]);
  return `<dl>${items.map(([term, text]) => `<dt>${escapeMarkup(term)}</dt><dd>${escapeMarkup(text)}</dd>`).join('')}</dl>`;
}

function spelled({ p50, p90, p99, p999, max }: Percentiles): string {
  return `p50 ${ms(p50)}, p90 ${ms(p90)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}, max ${ms(max)}`;
}

function verdict(count: number): string {
  return `<span class="${count === 0 ? 'zero' : 'some'}">${count}</span>`;
}

function ms(value: number | null): string {
  return value === null ? '–' : formatMs(value);
}
