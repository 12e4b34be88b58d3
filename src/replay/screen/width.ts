/**
 * How wide the terminal was, which no log tells. Line editors show it: where a line that is edited is full, readline
 * writes a blank, or the next character, and a carriage return, to make the terminal wrap, and then the next line; zsh
 * fills the line before its prompt with blanks.
 */

export interface Piece {
  text: string;
  /** A line editor may wrap at its begin. */
  wraps: boolean;
}

export interface Cursor {
  /** Column of the cursor, from 0, before the piece is drawn. */
  cursor: number;
  /** What stands on its line. */
  line: string;
  /** It is in a line editor, as far as is known. */
  isTyped: boolean;
}

const MIN_COLUMNS = 20;
const ESCAPE = '\x1b';
/** Up again from the row that a full one has made the terminal wrap to. */
const BACK_UP = `${ESCAPE}\\[A`;
/** Not before a newline, nor before what only rewrites the line. */
const WRAP = new RegExp(` \\r(?=[^\\r\\n${ESCAPE}\\x08])| \\r?(?=${BACK_UP})|([^\\s${ESCAPE}\\x08])\\r\\1`, 'g');
/** With what it then writes. */
const FILLED = new RegExp(`^ (\\r?)${BACK_UP}(..)`);
const ZSH_FILL = /( {19,})\r \r/g;

/** Cuts a text before each place where a line editor may wrap. */
export function pieces(text: string): Piece[] {
  if (!/[^\r]\r[^\r\n]/.test(text) && !text.includes(` ${ESCAPE}[A`)) return [{ text, wraps: false }];
  const fills = [...text.matchAll(ZSH_FILL)].map(({ index, 0: fill }) => ({ from: index, to: index + fill.length }));
  const wraps = [...text.matchAll(WRAP)]
    .map(({ index }) => index)
    .filter((at) => !fills.some(({ from, to }) => at >= from && at < to));
  const cuts = new Set([...fills.map(({ from }) => from), ...wraps]);
  const starts = [...new Set([0, ...cuts])].sort((a, b) => a - b);
  return starts.map((start, i) => ({ text: text.slice(start, starts[i + 1]), wraps: cuts.has(start) }));
}

/** The width that the piece gives away; undefined where it gives none. */
export function editingWidth({ text }: Piece, { cursor, line, isTyped }: Cursor): number | undefined {
  const fill = /^( {19,})\r \r/.exec(text)?.[1];
  if (fill !== undefined) return fill.length + 1;
  if (!isTyped || cursor < MIN_COLUMNS || line.length !== cursor) return undefined;
  const [, back, above = ''] = FILLED.exec(text) ?? [];
  // The prompt from its begin on; or from its second character, below which the blank has left the cursor.
  if (back === '') return line.startsWith(above.slice(0, 1), 1) ? cursor : undefined;
  if (back !== undefined) return line.startsWith(above) ? cursor : undefined;
  if (!/^(?: \r|(\S)\r\1)/.test(text)) return undefined;
  // To its own begin, the prompt, an editor goes back to write it again.
  const next = text.slice(2, 6);
  return line.startsWith(next) || /^\s*$/.test(line) ? undefined : cursor;
}
