/**
 * A terminal that nobody looks at: what the container wrote goes in, and out comes what stood on the screen whenever a
 * line was left. The emulator deals with colours, cursor movement, wrapping, clearing, titles and full-screen programs.
 *
 * Line editors that know bracketed paste (bash since 5.1, zsh) switch it on while they edit, `CSI ?2004h`, and off when
 * Enter is pressed: bash after its newline, zsh before it. What stands there at that moment was typed.
 */
import headless, { type IMarker, type Terminal as TerminalType } from '@xterm/headless';
import type { LogEntry } from '../log/json-log.ts';
import { Rows } from './rows.ts';
import type { ScreenReader } from './screen-reader.ts';
import { editingWidth, type Piece, pieces } from './width.ts';

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

export class Screen {
  readonly #terminal: TerminalType;
  readonly #rows: Rows;
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
  /** The last row that was told and is full: what stands below is no part of it. */
  #full: IMarker | undefined;
  /** The line that was left last is told with the next one: an old readline may go up again and on with it. */
  #held: { row: number; text: string; gapMs: number; sinceMs: number } | undefined;
  /** The cursor has gone up to the line that is held. */
  #isBack = false;
  /** An old readline has gone down in its line by newlines. */
  #wentDown = false;

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
    this.#rows = new Rows(this.#terminal);
    this.#terminal.onLineFeed(() => this.#lineLeft());
    this.#terminal.parser.registerCsiHandler({ final: 'A' }, ([rows]) => this.#wentUp(Number(rows) || 1));
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
    this.#tellHeld();
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
    if (!this.#isBack) this.#tellHeld();
    const line = this.#rows.lineTo(this.#rows.cursor);
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
    const row = this.#rows.cursor - 1;
    const isNormal = active.type === 'normal';
    if (isNormal && this.#isBack && this.#held !== undefined && this.#firstTyped(row) <= this.#held.row) {
      this.#lineMs = this.#held.sinceMs;
      this.#held = undefined;
    }
    this.#tellHeld();
    if (isNormal && !this.#told && this.#edit === undefined && this.#goesOn(row)) {
      this.#wentDown = true;
      return;
    }
    const sinceMs = this.#lineMs;
    const gapMs = timeMs - sinceMs;
    this.#lineMs = timeMs;
    if (!isNormal) return;
    if (this.#told) {
      this.#told = false;
      return;
    }
    const soft = this.#softFrom?.line ?? -1;
    const end = this.#full?.line ?? -1;
    const text = this.#rows.lineTo(row, soft >= 0 ? soft : this.#firstTyped(row), end);
    if (isSoft && !this.#wentDown && this.#edit === undefined && this.#reader.isTyped(text)) {
      this.#softFrom ??= this.#terminal.registerMarker(-1);
      return;
    }
    this.#wentDown = false;
    this.#softFrom?.dispose();
    this.#softFrom = undefined;
    if (this.#rows.isFull(row)) {
      this.#full?.dispose();
      this.#full = this.#terminal.registerMarker(-1);
    }
    // A line that filled its row exactly had its only newline there: this is the next one.
    const own = soft >= 0 ? this.#rows.lineTo(row) : text;
    if (own !== text && this.#reader.isTyped(own)) {
      this.#reader.line(text.slice(0, text.length - own.length), Number.NaN);
      this.#reader.line(own, gapMs);
      return;
    }
    if (this.#edit === undefined) this.#held = { row, text, gapMs, sinceMs };
    else if (this.#edit.lines.push({ text, gapMs }) > MAX_EDITED) this.#flushEdit();
  }

  /** Modes are set one or several at a time. Returning false lets the emulator do its own work, too. */
  #mode(modes: (number | number[])[], on: boolean): boolean {
    const { active } = this.#terminal.buffer;
    this.#tellHeld();
    for (const mode of modes.flat()) {
      if (mode === 2004 && active.type === 'normal') on ? this.#editBegins() : this.#editEnds();
      if ((mode === 1049 || mode === 1047 || mode === 47) && !on && active.type === 'alternate') {
        const rows = Array.from({ length: ROWS }, (_, y) => this.#rows.text(active.baseY + y));
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
    const { cursor } = this.#rows;
    const from = this.#edit.from?.line ?? -1;
    const begin = from < 0 || from > cursor ? active.baseY : from;
    const lines: string[] = [];
    for (let row = begin; row <= cursor; row++) {
      const goesOn = lines.length > 0 && (this.#rows.isWrapped(row) || this.#rows.isFull(row - 1));
      if (goesOn) lines.push((lines.pop() ?? '') + this.#rows.text(row));
      else lines.push(this.#rows.text(row));
    }
    // Where a newline has been written, the cursor is on a row of its own.
    const leftLine = lines.at(-1) === '' && lines.length > 1;
    if (leftLine) lines.pop();
    this.#told = !leftLine;
    // zsh leaves from wherever the cursor was: the rest of a line that wraps stands below.
    if (!leftLine) lines.push((lines.pop() ?? '') + this.#rows.below(cursor).join(''));
    const { column } = this.#edit;
    this.#edit.from?.dispose();
    this.#edit = undefined;
    this.#reader.edited({ lines, column, hasKeys: this.#terminal.modes.applicationCursorKeysMode });
  }

  /** The row of the prompt of a line that is wrapped, also where only its full rows show that; else the row itself. */
  #firstTyped(row: number): number {
    const end = this.#full?.line ?? -1;
    if (this.#edit !== undefined || row - 1 <= end || !this.#rows.isFull(row - 1)) return row;
    for (let first = row; ; first--) {
      if (this.#reader.isTyped(this.#rows.lineTo(first))) return first;
      if (first - 1 <= end || !this.#rows.isFull(first - 1)) return row;
    }
  }

  /** Whether a row is one of a line that is being typed, and not the last. */
  #goesOn(row: number): boolean {
    return this.#rows.below(row).length > 0 && this.#reader.isTyped(this.#rows.lineTo(row, this.#firstTyped(row)));
  }

  #wentUp(rows: number): false {
    if (this.#held === undefined || this.#rows.cursor - rows > this.#held.row) return false;
    this.#isBack = true;
    this.#full?.dispose();
    this.#full = undefined;
    return false;
  }

  #tellHeld(): void {
    this.#isBack = false;
    if (this.#held === undefined) return;
    const { text, gapMs } = this.#held;
    this.#held = undefined;
    this.#reader.line(text, gapMs);
  }

  /** It was no edit, or the editor was killed: its lines are ordinary ones. */
  #flushEdit(): void {
    const { from, lines } = this.#edit ?? { from: undefined, lines: [] };
    from?.dispose();
    this.#edit = undefined;
    for (const { text, gapMs } of lines) this.#reader.line(text, gapMs);
  }
}
