/** A command as it was typed, and what came of it on the screen. */
import type { Prompt } from './prompt.ts';

export interface TypedCommand {
  /** All its lines, without prompts. */
  text: string;
  prompt: Prompt;
  /** Undefined where its prompt gives it not away. */
  shell: Shell | undefined;
  output: Output;
  /** A program took the whole screen. */
  fullScreen: boolean;
  /** Names of files that an editor said it had written. */
  written: string[];
  /** A program with a line editor of its own was talked to. */
  dialogue: boolean;
  /** It was stopped by Ctrl-C, Ctrl-\ or Ctrl-Z. */
  stopped: boolean;
}

export type Shell = 'bash' | 'zsh' | 'dash' | 'busybox';

/** The begin and the end of what a command wrote. */
export class Output {
  head: string[] = [];
  #tail: string[] = [];
  lines = 0;

  add(line: string): void {
    // A copy: a part of a string holds the whole.
    const kept = line.length > MAX_LENGTH ? Buffer.from(line.slice(0, MAX_LENGTH)).toString() : line;
    this.lines += 1;
    if (this.head.length < KEPT) {
      this.head.push(kept);
      return;
    }
    this.#tail.push(kept);
    if (this.#tail.length > KEPT) this.#tail.shift();
  }

  /** Forgets all but the begin and the lines that matter: a long log has many commands. */
  settle(matters: (line: string) => boolean): void {
    const first = this.head.findIndex((line) => line.trim() !== '');
    this.head = this.head.filter((line, i) => i <= first || matters(line));
    this.#tail = this.#tail.filter((line) => matters(line));
  }

  /** Those lines that are kept, in order. */
  all(): string[] {
    return [...this.head, ...this.#tail];
  }

  last(): string | undefined {
    return this.#tail.at(-1) ?? this.head.at(-1);
  }
}

const KEPT = 40;
const MAX_LENGTH = 400;
