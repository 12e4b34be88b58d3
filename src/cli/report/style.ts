/** Colours, and what is fit to be written to a terminal at all. */
import { stripVTControlCharacters } from 'node:util';

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

type Style = Record<keyof typeof CODES, (text: string) => string>;

/** How a report is to be written: everything that a reporter may depend on beside its data. */
export interface Look {
  style: Style;
  /** Columns of the terminal, or of the page. */
  width: number;
}

export function look(options: { colour: boolean; width: number }): Look {
  const paint = (name: keyof typeof CODES) => (text: string) =>
    options.colour && text !== '' ? `\x1b[${CODES[name][0]}m${text}\x1b[${CODES[name][1]}m` : text;
  return {
    width: options.width,
    style: {
      bold: paint('bold'),
      dim: paint('dim'),
      red: paint('red'),
      green: paint('green'),
      yellow: paint('yellow'),
      cyan: paint('cyan'),
    },
  };
}

/**
 * Text from elsewhere (a peer, an engine, a file) without what would steer the terminal: no escape sequences, no
 * control characters but the newline.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return stripVTControlCharacters(text).replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, ' ');
}

/** Columns that a styled line takes; all that drayage writes is one column a character. */
export function columnsOf(line: string): number {
  return [...stripVTControlCharacters(line)].length;
}

export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - columnsOf(text)));
}

export function padLeft(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - columnsOf(text))) + text;
}

/** Words of a text in lines of at most `width` columns, each after `indent`. */
export function wrap(text: string, width: number, indent = ''): string {
  const room = Math.max(20, width - indent.length);
  const lines: string[] = [];
  for (const paragraph of printable(text).split('\n')) {
    let line = '';
    for (const word of paragraph.split(/ +/)) {
      if (line !== '' && line.length + 1 + word.length > room) {
        lines.push(indent + line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(indent + line);
  }
  return lines.join('\n');
}
