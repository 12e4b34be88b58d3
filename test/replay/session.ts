/** A session as it is typed, and the commands that it is made of. */
export interface Session {
  /** Default `terminal`. */
  image?: string;
  command: string[];
  /** Default 100. */
  columns?: number;
  /** More of `docker run`. */
  flags?: string[];
  /** Working directory of the image; default `/`. */
  directory?: string;
  /** Home directories that are not where they are by default. */
  homes?: Readonly<Record<string, string>>;
  /** Codes of what is to be told of its Dockerfile. */
  findings?: string[];
  steps: Step[];
  /** Contents of the files that were edited, by path, as they are in the container at the end. */
  edited?: Readonly<Record<string, string>>;
  /** What was really run, in order: the truth that the log is read for. */
  commands: string[];
}

/** Keys; after Enter a prompt is waited for, or what `until` says. */
export type Step = string | { keys: string; until?: RegExp /** All at once, as from a clipboard. */; pasted?: boolean };

export const ENTER = '\r';
export const TAB = '\t';
export const BACKSPACE = '\x7f';
export const UP = '\x1b[A';
export const DOWN = '\x1b[B';
export const RIGHT = '\x1b[C';
export const LEFT = '\x1b[D';
export const ESCAPE = '\x1b';

/** Of `A` to `Z` and some others: what the key sends with Ctrl. */
export function ctrl(key: string): string {
  return String.fromCharCode(key.charCodeAt(0) & 0x1f);
}

/** Plain commands, each with Enter. */
export function lines(...commands: string[]): string[] {
  return commands.map((command) => command + ENTER);
}

/** What ends so, whatever of colours and modes comes after it. */
export function promptAtEnd(ending: string): RegExp {
  return new RegExp(`${ending}(?:${ESCAPE}\\[[\\d;?]*[A-Za-z]|${ESCAPE}=|\r)*$`);
}
