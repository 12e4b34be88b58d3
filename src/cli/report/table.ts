/** A plain table: columns as wide as their content, the last one wrapped where the terminal ends. */
import { columnsOf, type Look, pad, wrap } from './style.ts';

export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], { style, width }: Look) {
  const last = header.length - 1;
  const widths = header.map((title, i) => Math.max(columnsOf(title), ...rows.map((row) => columnsOf(row[i] ?? ''))));
  const before = widths.slice(0, last).reduce((sum, w) => sum + w + 2, 0);
  const room = Math.max(24, width - before);
  const line = (cells: readonly string[], paint = (text: string) => text) => {
    const start = cells.slice(0, last).map((cell, i) => paint(pad(cell, widths[i] ?? 0)));
    const [first = '', ...more] = within(cells[last] ?? '', room);
    return [[...start, paint(first)].join('  ').trimEnd(), ...more.map((text) => ' '.repeat(before) + text)].join('\n');
  };
  return `${[line(header, style.bold), ...rows.map((row) => line(row))].join('\n')}\n`;
}

/** Styled text cannot be cut, so only plain text is wrapped. */
function within(cell: string, room: number): string[] {
  return columnsOf(cell) <= room || cell.includes('\x1b') ? [cell] : wrap(cell, room).split('\n');
}
