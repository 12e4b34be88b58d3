/** The simple commands of a command line: their words, assignments and redirections, and what joins them. */
import { type HereDocument, type Token, tokenize, type Word } from './tokens.ts';

export interface SimpleCommand {
  assignments: { name: string; word: Word }[];
  words: Word[];
  redirects: { operator: string; target: Word | undefined }[];
  here: HereDocument | undefined;
  /** What follows it: `&&`, `||`, `|`, `;`, `&`, a newline; empty at the end. */
  joint: string;
}

/** Words of compound commands stand among the others: `for`, `do`, `then`. */
export function simpleCommands(text: string): SimpleCommand[] {
  const found: SimpleCommand[] = [];
  let current = empty();
  let redirect: string | undefined;
  const end = (joint: string): void => {
    if (current.words.length + current.assignments.length + current.redirects.length > 0) {
      found.push({ ...current, joint });
    }
    current = empty();
  };
  for (const token of tokenize(text).tokens) {
    if (token.type === 'operator') {
      redirect = undefined;
      end(token.raw);
    } else if (token.type === 'redirect') redirect = token.raw;
    else if (token.type === 'here-document') current.here = token;
    else if (redirect !== undefined) {
      current.redirects.push({ operator: redirect, target: token });
      redirect = undefined;
    } else addWord(current, token);
  }
  end('');
  return found;
}

/**
 * The commands of a list that run one after the other, each as typed; the list itself where it cannot be taken apart:
 * it has `||`, `&`, compound commands or here-documents.
 */
export function inSequence(text: string): string[] {
  const { tokens } = tokenize(text);
  const parts: string[] = [];
  let start = 0;
  let begins = true;
  for (const token of tokens) {
    if (token.type === 'here-document') return [text];
    if (token.type === 'operator') {
      if (/^(?:\|\||&|;;&?|;&|[()])$/.test(token.raw)) return [text];
      if (/^(?:&&|;|\n)$/.test(token.raw)) {
        parts.push(text.slice(start, token.at));
        start = token.at + token.raw.length;
      }
      begins = true;
    } else {
      if (begins && COMPOUND.test(token.raw)) return [text];
      begins = false;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim()).filter((part) => part !== '' && !part.startsWith('#'));
}

const COMPOUND =
  /^(?:if|then|elif|else|fi|for|while|until|do|done|case|esac|select|\{|\}|!|function|\[\[|time|coproc)$/;

/** A command without the comment after it, which would comment out what a Dockerfile's line goes on with. */
export function withoutComment(text: string): string {
  const last = tokenize(text).tokens.at(-1);
  return last === undefined || last.type === 'here-document' ? text : text.slice(0, last.at + last.raw.length);
}

/** The program's name without its directory; empty where it is not known before the shell runs. */
export function programOf(command: SimpleCommand): string {
  return (command.words[0]?.value ?? '').replace(/^.*\//, '');
}

/** The words after the program's name that are known. */
export function argumentsOf(command: SimpleCommand): string[] {
  return command.words.slice(1).map(({ value, raw }) => value ?? raw);
}

/** A value as one word of a shell. */
export function quote(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

function addWord(command: SimpleCommand, word: Token & { type: 'word' }): void {
  const assignment = command.words.length === 0 ? /^([A-Za-z_]\w*)\+?=/.exec(word.raw) : null;
  if (assignment?.[1] === undefined) {
    command.words.push(word);
    return;
  }
  const from = assignment[0].length;
  const value = word.value?.slice(from);
  command.assignments.push({ name: assignment[1], word: { ...word, raw: word.raw.slice(from), value } });
}

function empty(): SimpleCommand {
  return { assignments: [], words: [], redirects: [], here: undefined, joint: '' };
}
