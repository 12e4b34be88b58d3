/** Finds the commands in what was on the screen: what stands after a prompt when its line is left. */
import type { Edit, ScreenReader } from '../screen/screen-reader.ts';
import { isKnownProgram } from './known-programs.ts';
import { type Prompt, type PromptedLine, readContinuation, readPrompt } from './prompt.ts';
import { programOf, simpleCommands } from './simple-commands.ts';
import { tokenize } from './tokens.ts';
import { Output, type Shell, type TypedCommand } from './typed-command.ts';

export interface FinderOptions {
  /** Of the user's, for prompts that are not known here. */
  prompt?: RegExp | undefined;
  /** Each command once it has ended, in order. */
  onCommand: (command: TypedCommand) => void;
}

/** A person needs longer for a command and Enter than a program for its next line; in milliseconds, if it is a known one. */
const TYPING_MS = 40;
const UNKNOWN_MS = 150;
const MAX_WRITTEN = 20;

export class CommandFinder implements ScreenReader {
  readonly #options: FinderOptions;
  #current: TypedCommand | undefined;
  /** The shell waits for the rest of the command. */
  #isOpen = false;
  #prompts = 0;
  /** Prompts that stood in a line editor which tells when it is left: on a line without one they are output. */
  readonly #edited = new Set<string>();
  readonly #weakKinds = new Set<string>();
  #lastPrompt: Prompt | undefined;

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** Prompts found so far. */
  get prompts(): number {
    return this.#prompts;
  }

  isTyped(line: string): boolean {
    const prompted = this.#read(line);
    const isPrompt = ({ weak, kind }: Prompt): boolean => !weak || this.#prompts === 0 || this.#weakKinds.has(kind);
    if (prompted !== undefined && isPrompt(prompted.prompt)) return true;
    return this.#isOpen && readContinuation(line) !== undefined;
  }

  line(text: string, gapMs: number): void {
    const more = this.#isOpen ? readContinuation(text) : undefined;
    const prompted = this.#innermost(text) ?? this.#afterOutput(text, gapMs);
    if (more !== undefined) this.#continue(more);
    else if (prompted !== undefined && this.#isPrompt(prompted, gapMs)) this.#enter(prompted, false);
    else this.#output(text);
  }

  edited(edit: Edit): void {
    const { lines } = edit;
    // The last prompt counts: before it stands what completion listed.
    for (let i = lines.length - 1; i >= 0; i--) if (this.#isEntered(edit, i)) return;
    if (this.#current === undefined || lines.every((line) => line === '')) return;
    this.#current.dialogue = true;
    for (const line of lines) this.#output(line);
  }

  /** Whether a row of an edit has the prompt; what stands from there on was typed. */
  #isEntered({ lines, column, hasKeys }: Edit, row: number): boolean {
    const line = lines[row] ?? '';
    const below = lines.slice(row + 1);
    const more = this.#isOpen ? readContinuation(line) : undefined;
    if (more !== undefined) {
      this.#continue([more, ...below].join('\n'));
      return true;
    }
    const prompted = (row === 0 ? this.#strongAt(line, column) : undefined) ?? this.#innermost(line);
    if (prompted === undefined) return false;
    this.#edited.add(prompted.prompt.kind);
    if (hasKeys && shellOf(prompted.prompt, true) === 'zsh') this.#finish();
    else this.#enter({ ...prompted, rest: [prompted.rest, ...below].join('\n') }, true);
    return true;
  }

  fullScreen(lines: string[]): void {
    if (this.#current === undefined) return;
    this.#current.fullScreen = true;
    for (const line of lines) {
      const name = /^"(.+?)"(?: \[[\w ]+\])? \d+L, \d+[BC] written/.exec(line)?.[1];
      if (name !== undefined && this.#current.written.length < MAX_WRITTEN) this.#current.written.push(name);
    }
  }

  /** No more will come. */
  end(): void {
    this.#finish();
  }

  #read(line: string): PromptedLine | undefined {
    return readPrompt(line, this.#options.prompt);
  }

  /** A shell that was ended by Ctrl-D leaves its prompt before that of the one around it. */
  #innermost(line: string): PromptedLine | undefined {
    let found = this.#read(line);
    for (let inner = found; inner !== undefined; ) {
      inner = this.#read(inner.rest);
      if (inner === undefined || inner.prompt.weak) break;
      found = inner;
    }
    return found;
  }

  /** Output without a newline stands before the prompt; bash begins its editor where the prompt begins. */
  #strongAt(line: string, column: number): PromptedLine | undefined {
    if (column === 0) return undefined;
    const prompted = this.#read(line.slice(column));
    return prompted?.prompt.weak === false ? prompted : undefined;
  }

  /** The same without an editor that tells: the prompt that was seen last, and a known program after it. */
  #afterOutput(line: string, gapMs: number): PromptedLine | undefined {
    const prompt = this.#lastPrompt;
    if (prompt === undefined || this.#edited.has(prompt.kind) || !(gapMs >= TYPING_MS)) return undefined;
    const at = line.indexOf(prompt.text);
    if (at <= 0 || prompt.text.trim() === '') return undefined;
    const rest = line.slice(at + prompt.text.length);
    return isKnownProgram(firstWord(rest)) ? { prompt, rest } : undefined;
  }

  /** Whether a line that looks like a prompt, outside of an editor that tells, is one. */
  #isPrompt({ prompt, rest }: PromptedLine, gapMs: number): boolean {
    if (this.#edited.has(prompt.kind)) return false;
    if (!prompt.weak) return true;
    const isExpected =
      this.#prompts === 0 ||
      this.#weakKinds.has(prompt.kind) ||
      (this.#current !== undefined && startsShell(this.#current));
    if (!isExpected) return false;
    const isProgram = rest.trim() === '' || isKnownProgram(firstWord(rest));
    return !(gapMs < (isProgram ? TYPING_MS : UNKNOWN_MS));
  }

  #enter({ prompt, rest }: PromptedLine, isEdited: boolean): void {
    if (!isEdited && this.#current !== undefined && isListing(this.#current, rest)) this.#current = undefined;
    this.#finish();
    this.#prompts += 1;
    if (prompt.weak) this.#weakKinds.add(prompt.kind);
    this.#lastPrompt = prompt;
    const text = rest.trimStart();
    if (text.trim() === '' || isCancelled(text)) return;
    this.#current = {
      ...{ text, prompt, shell: shellOf(prompt, isEdited), output: new Output(), written: [] },
      ...{ fullScreen: false, dialogue: false, stopped: false },
    };
    this.#isOpen = tokenize(text).waitsFor !== undefined;
  }

  #continue(more: string): void {
    if (this.#current === undefined) return;
    if (isCancelled(more)) {
      this.#current = undefined;
      this.#isOpen = false;
      return;
    }
    this.#current.text += `\n${more}`;
    this.#isOpen = tokenize(this.#current.text).waitsFor !== undefined;
  }

  #output(line: string): void {
    this.#isOpen = false;
    if (this.#current === undefined) return;
    if (/\^[C\\Z]$/.test(line)) this.#current.stopped = true;
    if (/^(?:>>>|In \[\d+\]:|mysql>|sqlite>|irb\(|\(gdb\)|\w*=[#>]) /.test(line)) this.#current.dialogue = true;
    this.#current.output.add(line);
  }

  #finish(): void {
    const done = this.#current;
    this.#current = undefined;
    this.#isOpen = false;
    if (done !== undefined) this.#options.onCommand({ ...done, text: done.text.trimEnd() });
  }
}

/** Whether the prompt after a command may be that of another shell. */
function startsShell({ text }: Pick<TypedCommand, 'text'>): boolean {
  const last = simpleCommands(text).at(-1);
  if (last === undefined) return false;
  const words = last.words.map(({ value, raw }) => value ?? raw);
  return (
    words.some((word) =>
      /^(?:.*\/)?(?:ba|da|a|z|k)?sh$|^(?:su|sudo|login|chroot|newgrp|exec|busybox|exit|logout)$/.test(word),
    ) ||
    ['source', '.'].includes(programOf(last)) ||
    last.assignments.some(({ name }) => /^PS1|^PROMPT/.test(name)) ||
    words.some((word) => /^PS1=/.test(word))
  );
}

/** By the prompts of images: only bash and zsh tell when their editor is left. */
function shellOf({ kind, shell }: Prompt, isEdited: boolean): Shell | undefined {
  if (shell === 'bash' || shell === 'zsh' || shell === 'dash') return shell;
  if (isEdited) return kind.startsWith('host') || kind.endsWith('%') ? 'zsh' : 'bash';
  if (kind === 'dir') return 'busybox';
  return kind === 'sign' ? 'dash' : undefined;
}

function firstWord(text: string): string {
  return text.trim().split(/\s/, 1)[0] ?? '';
}

function isCancelled(text: string): boolean {
  return /\^[C\\]$/.test(text);
}

/**
 * Whether a line was not entered: Tab was pressed twice, the shell listed what the last word may become, and wrote the
 * line again.
 */
function isListing({ text, output }: TypedCommand, next: string): boolean {
  if (!next.startsWith(text) || output.lines === 0) return false;
  const last = /(?:^|[\s/=:])([^\s/=:]*)$/.exec(text)?.[1] ?? text;
  if (next.trimEnd() === text.trimEnd() && last === '') return false;
  return output
    .all()
    .flatMap((line) => line.split(/\s+/))
    .every((name) => name === '' || name.startsWith(last));
}
