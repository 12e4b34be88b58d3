/** What a terminal tells of the lines that were on it. */

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
