/**
 * A terminal that nobody looks at: what the container wrote goes in, and out comes what stood on the screen whenever a
 * line was left. The emulator deals with colours, cursor movement, wrapping, clearing, titles and full-screen programs.
 *
 * Line editors that know bracketed paste (bash since 5.1, zsh) switch it on while they edit, `CSI ?2004h`, and off when
 * Enter is pressed: bash after its newline, zsh before it. What stands there at that moment was typed.
 */
import headless, { type IBufferLine, type IMarker, type Terminal as TerminalType } from '@xterm/headless';
import type { LogEntry } from '../log/json-log.ts';
import { editingWidth, type Piece, pieces } from './width.ts';

export interface ScreenReader {
  /** A line was left by a newline outside of a line editor. `gapMs`: since the line before; NaN where it is not known. */
  line(text: string, gapMs: number): void;
  /** A line editor was left. */
  edited(edit: Edit): void;
  /** Whether a line is one that is being typed, as far as it goes. */
  isTyped(line: string): boolean;
  /** A program has left the alternate screen; the lines that stood there at the end. */
  fullScreen(lines: string[]): void;
}

export interface Edit {
  /** From the row where the editor began to the cursor. */
  lines: string[];
  /** In which it began. */
  column: number;
  /** Cursor keys were the application's still, which zsh takes back when a line is entered, and not when it is given up. */
  hasKeys: boolean;
}

export interface ScreenOptions {
  /** Of the terminal that was attached; without it, it is told from how line editors wrap. */
  columns?: number | undefined;
  reader: ScreenReader;
}

/** Wider than any terminal: where the width is not known, a line is better not wrapped than wrapped wrongly. */
const UNKNOWN_COLUMNS = 500;
const ROWS = 50;
const SCROLLBACK = 1000;
/** Bytes that may wait to be drawn. */
const PENDING = 256 << 10;
/** busybox ends a row that is full so, and a line that was entered by only one carriage return (libbb/lineedit.c). */
const SOFT_NEWLINE = '\r\r\n';
/** An editor that was killed never switches bracketed paste off: after so many lines it is not an editor's screen. */
const MAX_EDITED = 500;
/** Of a longer line nobody has typed the rest. */
const MAX_TEXT = 64 << 10;

export class Screen {
  readonly #terminal: TerminalType;
  readonly #reader: ScreenReader;
  readonly #pieces: { timeMs: number; isSoft: boolean }[] = [];
  readonly #columnsKnown: boolean;
  #pending = 0;
  #lineMs = Number.NaN;
  #edit: { from: IMarker | undefined; column: number; lines: { text: string; gapMs: number }[] } | undefined;
  /** The row of a prompt that busybox has wrapped. */
  #softFrom: IMarker | undefined;
  /** zsh leaves its editor before its newline: that line has been told. */
  #told = false;

  constructor({ columns, reader }: ScreenOptions) {
    this.#reader = reader;
    this.#columnsKnown = columns !== undefined;
    this.#terminal = new headless.Terminal({
      cols: columns ?? UNKNOWN_COLUMNS,
      rows: ROWS,
      scrollback: SCROLLBACK,
      allowProposedApi: true,
      logLevel: 'off',
    });
    this.#terminal.onLineFeed(() => this.#lineLeft());
    this.#terminal.parser.registerCsiHandler({ prefix: '?', final: 'h' }, (modes) => this.#mode(modes, true));
    this.#terminal.parser.registerCsiHandler({ prefix: '?', final: 'l' }, (modes) => this.#mode(modes, false));
  }

  /** Draws what came. Resolves when there is room for more. */
  async write({ text, timeMs }: LogEntry): Promise<void> {
    for (const piece of pieces(text)) {
      if (piece.wraps && !this.#columnsKnown) await this.#learnWidth(piece);
      this.#pieces.push({ timeMs, isSoft: piece.text.endsWith(SOFT_NEWLINE) });
      this.#pending += piece.text.length;
      this.#terminal.write(piece.text, () => {
        this.#pending -= piece.text.length;
        this.#pieces.shift();
      });
      if (this.#pending > PENDING) await this.#drain();
    }
  }

  /** All is drawn. */
  async end(): Promise<void> {
    await this.#drain();
    if (this.#edit !== undefined) this.#flushEdit();
    this.#terminal.dispose();
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => this.#terminal.write('', resolve));
  }

  async #learnWidth(piece: Piece): Promise<void> {
    await this.#drain();
    const { active } = this.#terminal.buffer;
    if (active.type !== 'normal') return;
    const row = active.baseY + active.cursorY;
    const line = this.#logicalLine(row);
    const isTyped = this.#edit !== undefined || this.#reader.isTyped(line);
    const columns = editingWidth(piece, { cursor: active.cursorX, line, isTyped });
    if (columns === undefined || columns === this.#terminal.cols) return;
    this.#terminal.resize(columns, ROWS);
    // Behind the last column there is no place for the cursor but by writing the last character again.
    if (active.cursorX === columns - 1 && line.length === columns) {
      this.#pieces.push({ timeMs: this.#lineMs, isSoft: false });
      this.#terminal.write(line.slice(-1), () => this.#pieces.shift());
    }
  }

  #lineLeft(): void {
    const { active } = this.#terminal.buffer;
    const { timeMs, isSoft } = this.#pieces[0] ?? { timeMs: Number.NaN, isSoft: false };
    const gapMs = timeMs - this.#lineMs;
    this.#lineMs = timeMs;
    if (active.type !== 'normal') return;
    if (this.#told) {
      this.#told = false;
      return;
    }
    const row = active.baseY + active.cursorY - 1;
    const from = this.#softFrom?.line ?? row;
    const text = this.#logicalLine(row, from < 0 ? row : from);
    if (isSoft && this.#edit === undefined && this.#reader.isTyped(text)) {
      this.#softFrom ??= this.#terminal.registerMarker(-1);
      return;
    }
    this.#softFrom?.dispose();
    this.#softFrom = undefined;
    // A line that filled its row exactly had its only newline there: this is the next one.
    const own = from < row ? this.#logicalLine(row) : text;
    if (own !== text && this.#reader.isTyped(own)) {
      this.#reader.line(text.slice(0, text.length - own.length), Number.NaN);
      this.#reader.line(own, gapMs);
      return;
    }
    if (this.#edit === undefined) this.#reader.line(text, gapMs);
    else if (this.#edit.lines.push({ text, gapMs }) > MAX_EDITED) this.#flushEdit();
  }

  /** Modes are set one or several at a time. Returning false lets the emulator do its own work, too. */
  #mode(modes: (number | number[])[], on: boolean): boolean {
    const { active } = this.#terminal.buffer;
    for (const mode of modes.flat()) {
      if (mode === 2004 && active.type === 'normal') on ? this.#editBegins() : this.#editEnds();
      if ((mode === 1049 || mode === 1047 || mode === 47) && !on && active.type === 'alternate') {
        const rows = Array.from({ length: ROWS }, (_, y) => textOf(active.getLine(active.baseY + y)));
        this.#reader.fullScreen(rows.filter((row) => row !== ''));
      }
    }
    return false;
  }

  #editBegins(): void {
    if (this.#edit !== undefined) this.#flushEdit();
    const column = this.#terminal.buffer.active.cursorX;
    this.#edit = { from: this.#terminal.registerMarker(0), column, lines: [] };
  }

  #editEnds(): void {
    if (this.#edit === undefined) return;
    const { active } = this.#terminal.buffer;
    const cursor = active.baseY + active.cursorY;
    const from = this.#edit.from?.line ?? -1;
    const begin = from < 0 || from > cursor ? active.baseY : from;
    const lines: string[] = [];
    let isFull = false;
    for (let row = begin; row <= cursor; row++) {
      const text = textOf(active.getLine(row));
      // An editor that has moved the cursor itself leaves no sign of the wrapping but a row that is full.
      if ((active.getLine(row)?.isWrapped || isFull) && lines.length > 0) lines.push((lines.pop() ?? '') + text);
      else lines.push(text);
      isFull = text.length === this.#terminal.cols;
    }
    // Where a newline has been written, the cursor is on a row of its own.
    const leftLine = lines.at(-1) === '' && lines.length > 1;
    if (leftLine) lines.pop();
    this.#told = !leftLine;
    // zsh leaves from wherever the cursor was: the rest of a line that wraps stands below.
    for (let row = cursor + 1; !leftLine && row < active.length; row++) {
      const text = textOf(active.getLine(row));
      if (text === '' || !(isFull || active.getLine(row)?.isWrapped)) break;
      lines.push((lines.pop() ?? '') + text);
      isFull = text.length === this.#terminal.cols;
    }
    const { column } = this.#edit;
    this.#edit.from?.dispose();
    this.#edit = undefined;
    this.#reader.edited({ lines, column, hasKeys: this.#terminal.modes.applicationCursorKeysMode });
  }

  /** It was no edit, or the editor was killed: its lines are ordinary ones. */
  #flushEdit(): void {
    const { from, lines } = this.#edit ?? { from: undefined, lines: [] };
    from?.dispose();
    this.#edit = undefined;
    for (const { text, gapMs } of lines) this.#reader.line(text, gapMs);
  }

  /** The whole line that ends in a row, over all the rows that it was wrapped to, those from `from` on included. */
  #logicalLine(row: number, from = row): string {
    const { active } = this.#terminal.buffer;
    let first = Math.min(from, row);
    while (first > 0 && active.getLine(first)?.isWrapped) first--;
    let text = '';
    for (let y = first; y <= row && text.length < MAX_TEXT; y++) text += textOf(active.getLine(y));
    return text;
  }
}

function textOf(line: IBufferLine | undefined): string {
  return line?.translateToString(true) ?? '';
}
