/**
 * Takes the first picture out of a report of `drayage bench -o report.html`, with its figures, as an SVG that stands by
 * itself, light and dark: `node scripts/report-picture.ts <report.html >picture.svg`
 */
import { readFileSync } from 'node:fs';
import { CHART_STYLE } from '../src/cli/report/html/style.ts';

const WIDTH = 1128;
const MARGIN = 24;
const TILES_TOP = 30;
const CHART_TOP = 96;
/** About the width of a character of a figure, and of what is said of it. */
const [DIGIT, LETTER] = [17, 6.9];

/** @throws Error where it is no report with a move in it */
export function reportPicture(report: string): string {
  const title = one(report, /<h1>(.*?)<\/h1>/);
  const chart = one(report, /(<svg [^>]*aria-label="Round \d+">.*?<\/svg>)/s);
  const [, width, height] = (/viewBox="0 0 (\d+) (\d+)"/.exec(chart) ?? []).map(Number);
  if (width === undefined || height === undefined) throw new Error('its first chart has no size');
  const whole = CHART_TOP + height + MARGIN;
  // A picture in a page knows nothing of that page's colours, so it brings its own background.
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${whole}" viewBox="0 0 ${WIDTH} ${whole}" role="img" aria-label="What clients saw while ${title} moved" font-family="system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif" font-size="11">
<style>${CHART_STYLE}${STYLE}</style>
<rect class="paper" x="0.5" y="0.5" width="${WIDTH - 1}" height="${whole - 1}" rx="14"/>
${tilesOf(report)}
${chart.replace('<svg ', `<svg x="${MARGIN}" y="${CHART_TOP}" width="${width}" height="${height}" `)}
</svg>
`;
}

/** Text is larger than in the report, for a README shows it smaller. */
const STYLE = `.axis, .phase-name { font-size: 12.5px; } .panel-title { font-size: 13.5px; } .dimension text { font-size: 13px; }
.paper { fill: var(--card); stroke: var(--line); }
.value { fill: var(--ink); font-size: 26px; font-weight: 650; letter-spacing: -0.02em; } .label { fill: var(--soft); font-size: 13px; }
.value.good { fill: var(--green); } .value.bad { fill: var(--red); }
`;

/** Side by side over the whole width, with as much room between any two. */
function tilesOf(report: string): string {
  const tiles = [...report.matchAll(/<div class="tile( good| bad)?"><b>(.*?)<\/b><span>(.*?)<\/span><\/div>/g)];
  const widths = tiles.map(([, , value = '', label = '']) => Math.max(value.length * DIGIT, label.length * LETTER));
  const room = WIDTH - 2 * MARGIN - widths.reduce((sum, width) => sum + width, 0);
  const between = room / Math.max(1, tiles.length - 1);
  let left = MARGIN;
  return tiles
    .map(([, kind = '', value, label], i) => {
      const x = Math.round(left);
      left += (widths[i] ?? 0) + between;
      return `<text class="value${kind}" x="${x}" y="${TILES_TOP + 24}">${value}</text><text class="label" x="${x}" y="${TILES_TOP + 45}">${label}</text>`;
    })
    .join('\n');
}

function one(report: string, pattern: RegExp): string {
  const found = pattern.exec(report)?.[1];
  if (found === undefined) throw new Error(`this is no report of drayage bench: ${pattern} is not in it`);
  return found;
}

if (import.meta.main) process.stdout.write(reportPicture(readFileSync(0, 'utf8')));
