/** The rows of a terminal's buffer, and the lines that they are the parts of. */
import type { IBufferLine, Terminal } from '@xterm/headless';

/** Of a longer line nobody has typed the rest. */
const MAX_TEXT = 64 << 10;

export class Rows {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Of the cursor, from the begin of the buffer. */
  get cursor(): number {
    const { baseY, cursorY } = this.#terminal.buffer.active;
    return baseY + cursorY;
  }

  text(row: number): string {
    return textOf(this.#line(row));
  }

  isWrapped(row: number): boolean {
    return this.#line(row)?.isWrapped === true;
  }

  /** An editor that has moved the cursor itself leaves no sign of the wrapping but a row that is full. */
  isFull(row: number): boolean {
    return (
      (this.#line(row)
        ?.getCell(this.#terminal.cols - 1)
        ?.getChars() ?? '') !== ''
    );
  }

  /**
   * The whole line that ends in a row, over all the rows that it was wrapped to, those from `from` on included.
   * @param end row of the line above, whatever wrapped
   */
  lineTo(row: number, from = row, end = -1): string {
    let first = Math.min(from, row);
    while (first > end + 1 && this.isWrapped(first)) first--;
    let text = '';
    for (let y = first; y <= row && text.length < MAX_TEXT; y++) text += this.text(y);
    return text;
  }

  /** The rest of the line that a row belongs to. */
  below(row: number): string[] {
    const rows: string[] = [];
    for (let y = row + 1; y < this.#terminal.buffer.active.length; y++) {
      if (!this.isFull(y - 1) && !this.isWrapped(y)) break;
      const text = this.text(y);
      // A blank makes the terminal wrap.
      if (text.trim() === '' && !this.isFull(y)) break;
      rows.push(text);
    }
    return rows;
  }

  #line(row: number): IBufferLine | undefined {
    return this.#terminal.buffer.active.getLine(row);
  }
}

function textOf(line: IBufferLine | undefined): string {
  return line?.translateToString(true) ?? '';
}
