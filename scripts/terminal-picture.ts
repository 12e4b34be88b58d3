/**
 * Renders what a program wrote to a terminal as a self-contained SVG:
 * `node scripts/terminal-picture.ts "drayage migrate web --to b" <recording.txt >picture.svg`
 * A recording is made with colours by `script -qec COMMAND recording.txt`, for instance.
 */
import { readFileSync } from 'node:fs';

/** One character of the screen. */
interface Cell {
  character: string;
  bold: boolean;
  dim: boolean;
  /** Index into the palette; undefined for the ordinary colour. */
  colour: number | undefined;
}
type Pen = Omit<Cell, 'character'>;

const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 19;
const MARGIN = 18;
const BAR_HEIGHT = 34;
const FOREGROUND = '#d7dae0';
const BACKGROUND = '#1c1f26';
/** ANSI colours 0 to 7, then the bright ones. */
const PALETTE = [
  ...['#3b4048', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#d7dae0'],
  ...['#5c6370', '#ff7b86', '#b5e890', '#ffd98a', '#7cc5ff', '#dd9bf0', '#6fd3e0', '#ffffff'],
];

export function terminalPicture(recording: string, title = ''): string {
  const rows = screen(recording);
  while (rows.length > 0 && rows.at(-1)?.every((cell) => cell.character === ' ')) rows.pop();
  const columns = Math.max(40, ...rows.map((row) => row.length));
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN);
  const height = Math.ceil(rows.length * LINE_HEIGHT + BAR_HEIGHT + 1.5 * MARGIN);
  const lines = rows.map((row, i) => line(row, BAR_HEIGHT + MARGIN + i * LINE_HEIGHT)).filter((text) => text !== '');
  const lights = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, i) => `<circle cx="${20 + i * 18}" cy="17" r="6" fill="${fill}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<rect width="${width}" height="${height}" rx="10" fill="${BACKGROUND}"/>
${lights.join('')}
<text x="${width / 2}" y="22" fill="#8b919c" text-anchor="middle">${escapeMarkup(title)}</text>
<g fill="${FOREGROUND}" xml:space="preserve" style="white-space:pre">
${lines.join('\n')}
</g>
</svg>
`;
}

/** What is on the screen in the end: carriage returns and cleared lines have taken effect. */
export function screen(recording: string): Cell[][] {
  const rows: Cell[][] = [[]];
  let column = 0;
  let pen: Pen = { bold: false, dim: false, colour: undefined };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
  for (const [token, parameters, final] of recording.matchAll(/\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[\s\S]/gu)) {
    const row = rows.at(-1) ?? [];
    if (final === 'm') pen = paint(pen, parameters ?? '');
    else if (final === 'K') row.splice(parameters === '2' ? 0 : column);
    else if (token === '\r') column = 0;
    else if (token === '\n') {
      rows.push([]);
      column = 0;
    } else if (final === undefined && token >= ' ' && token !== '\x7f') {
      while (row.length < column) row.push({ character: ' ', bold: false, dim: false, colour: undefined });
      row[column++] = { character: token, ...pen };
    }
  }
  return rows;
}

function paint(pen: Pen, parameters: string): Pen {
  let next = pen;
  for (const code of parameters.split(';').map(Number)) {
    if (code === 0) next = { bold: false, dim: false, colour: undefined };
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, dim: true };
    else if (code === 22) next = { ...next, bold: false, dim: false };
    else if (code >= 30 && code <= 37) next = { ...next, colour: code - 30 };
    else if (code >= 90 && code <= 97) next = { ...next, colour: code - 90 + 8 };
    else if (code === 39) next = { ...next, colour: undefined };
  }
  return next;
}

/** Every stretch of one style has a place of its own, so that the columns stand whatever font is used. */
function line(row: readonly Cell[], top: number): string {
  const spans: string[] = [];
  for (let i = 0; i < row.length; ) {
    const first = row[i];
    if (first === undefined) break;
    let end = i + 1;
    while (end < row.length && sameStyle(row[end], first)) end++;
    const text = row
      .slice(i, end)
      .map((cell) => cell.character)
      .join('');
    // Not every viewer keeps spaces at the ends of a text.
    const from = end - text.trimStart().length;
    if (text.trim() !== '') spans.push(stretch(text.trim(), from, first));
    i = end;
  }
  return spans.length === 0 ? '' : `<text y="${top + 14}">${spans.join('')}</text>`;
}

function stretch(text: string, column: number, style: Cell): string {
  const at = `x="${round(MARGIN + column * CELL_WIDTH)}" textLength="${round([...text].length * CELL_WIDTH)}"`;
  const fill = style.colour === undefined ? '' : ` fill="${PALETTE[style.colour]}"`;
  const weight = style.bold ? ' font-weight="bold"' : '';
  const opacity = style.dim ? ' fill-opacity="0.62"' : '';
  // Viewers differ in whether they keep several spaces as they are.
  const spaced = escapeMarkup(text).replaceAll(' ', '\u00a0');
  return `<tspan ${at}${fill}${weight}${opacity}>${spaced}</tspan>`;
}

function sameStyle(a: Cell | undefined, b: Cell): boolean {
  return a !== undefined && a.bold === b.bold && a.dim === b.dim && a.colour === b.colour;
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

if (import.meta.main) process.stdout.write(terminalPicture(readFileSync(0, 'utf8'), process.argv[2]));
