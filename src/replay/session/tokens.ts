/**
 * A typed command line as words and operators, as POSIX has them (2.3 Token Recognition), with what bash adds; and
 * whether a shell would wait for more. Nothing is expanded.
 */

export interface Word {
  type: 'word';
  /** Where it begins in the text. */
  at: number;
  /** As typed, with its quotes. */
  raw: string;
  /** What the shell makes of it; undefined where it expands something. */
  value: string | undefined;
}

export type Token =
  | Word
  /** `;`, `&`, `&&`, `||`, `|`, `|&`, `;;`, `(`, `)` or a newline. */
  | { type: 'operator'; raw: string; at: number }
  /** `>`, `2>>`, `<<` …; what it leads to is the next word. */
  | { type: 'redirect'; raw: string; at: number }
  | HereDocument;

export interface HereDocument {
  type: 'here-document';
  raw: string;
  at: number;
  body: string;
  /** The body is taken as it is: its delimiter was quoted, or there is nothing in it to expand. */
  literal: boolean;
}

export interface Tokens {
  tokens: Token[];
  /** What a shell waits for; undefined where the command is whole. */
  waitsFor: 'quote' | 'here-document' | 'backslash' | 'command' | undefined;
}

const OPERATOR = /^(?:&&|\|\||\|&|;;&?|;&|[;&|()\n])/;
const REDIRECT = /^(?:\d*|\{\w+\})(?:<<<|<<-?|<>|<&|>>|>&|>\||&>>|&>|[<>])/;
const EXPANDS = /^[$`]/;
/** Unquoted, these make more than one word, or another one, out of it. */
const GLOB = /[*?[\]{}~]/;

export function tokenize(text: string): Tokens {
  const tokens: Token[] = [];
  const heres: { delimiter: string; quoted: boolean; dash: boolean }[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    if (/^[ \t]/.test(rest)) at += 1;
    else if (rest.startsWith('\\\n')) at += 2;
    else if (rest === '\\') return { tokens, waitsFor: 'backslash' };
    else if (rest.startsWith('#')) at += rest.indexOf('\n') < 0 ? rest.length : rest.indexOf('\n');
    else if (rest.startsWith('\n') && heres.length > 0) {
      const taken = takeHeres(text, at + 1, heres.splice(0));
      tokens.push(...taken.tokens);
      if (taken.end === undefined) return { tokens, waitsFor: 'here-document' };
      tokens.push({ type: 'operator', raw: '\n', at: taken.end });
      at = taken.end;
    } else {
      const redirect = REDIRECT.exec(rest)?.[0];
      const operator = redirect === undefined || /^[<>]\(/.test(rest) ? OPERATOR.exec(rest)?.[0] : undefined;
      if (redirect !== undefined && !/^[<>]\(/.test(rest)) {
        tokens.push({ type: 'redirect', raw: redirect, at });
        at += redirect.length;
        if (/<<-?$/.test(redirect)) {
          const word = takeWord(text, at + (/^[ \t]*/.exec(text.slice(at))?.[0].length ?? 0));
          if (word.word.raw === '') return { tokens, waitsFor: 'command' };
          const quoted = /['"\\]/.test(word.word.raw);
          const delimiter = word.word.value ?? word.word.raw.replace(/['"\\]/g, '');
          heres.push({ delimiter, quoted, dash: redirect.endsWith('-') });
          tokens.push(word.word);
          at = word.end;
        }
      } else if (operator !== undefined) {
        tokens.push({ type: 'operator', raw: operator, at });
        at += operator.length;
      } else {
        const { word, end, open } = takeWord(text, at);
        tokens.push(word);
        if (open) return { tokens, waitsFor: 'quote' };
        at = end;
      }
    }
  }
  if (heres.length > 0) return { tokens, waitsFor: 'here-document' };
  return { tokens, waitsFor: isCompound(tokens) ? 'command' : undefined };
}

/** The part of an unquoted body that a shell would expand. */
function expandsIn(body: string): boolean {
  return /[$`\\]/.test(body);
}

function takeHeres(
  text: string,
  start: number,
  heres: readonly { delimiter: string; quoted: boolean; dash: boolean }[],
): { tokens: HereDocument[]; end: number | undefined } {
  const tokens: HereDocument[] = [];
  let at = start;
  for (const { delimiter, quoted, dash } of heres) {
    const lines: string[] = [];
    for (;;) {
      if (at > text.length) return { tokens, end: undefined };
      const end = text.indexOf('\n', at);
      const raw = text.slice(at, end < 0 ? undefined : end);
      const line = dash ? raw.replace(/^\t+/, '') : raw;
      at = end < 0 ? text.length + 1 : end + 1;
      if (line === delimiter) break;
      lines.push(line);
      if (end < 0) return { tokens, end: undefined };
    }
    const body = lines.map((line) => `${line}\n`).join('');
    tokens.push({ type: 'here-document', raw: body, at: start, body, literal: quoted || !expandsIn(body) });
  }
  return { tokens, end: Math.min(at, text.length) };
}

function takeWord(text: string, start: number): { word: Word; end: number; open: boolean } {
  let at = start;
  let value: string | undefined = '';
  const add = (more: string): void => {
    if (value !== undefined) value += more;
  };
  const done = (open: boolean) => ({
    word: { type: 'word' as const, raw: text.slice(start, at), value, at: start },
    end: at,
    open,
  });
  while (at < text.length) {
    const char = text.charAt(at);
    if (/[\s;&|()<>]/.test(char) && !(char === '(' && /[$<>=@?*+!]/.test(text.charAt(at - 1)) && at > start)) break;
    if (char === '\\') {
      if (at + 1 >= text.length) return done(true);
      if (text[at + 1] !== '\n') add(text.charAt(at + 1));
      at += 2;
    } else if (char === "'" || text.startsWith("$'", at)) {
      const from = at + (char === "'" ? 1 : 2);
      const end = closing(text, from, "'", char !== "'");
      if (end === undefined) return { ...done(true), word: { ...done(true).word, raw: text.slice(start) } };
      if (char === "'") add(text.slice(from, end));
      else value = undefined;
      at = end + 1;
    } else if (char === '"') {
      const end = closing(text, at + 1, '"', true);
      if (end === undefined) return { ...done(true), word: { ...done(true).word, raw: text.slice(start) } };
      const inner = text.slice(at + 1, end);
      if (/(^|[^\\])[$`]/.test(inner)) value = undefined;
      else add(inner.replace(/\\(["\\$`\n])/g, (_, c: string) => (c === '\n' ? '' : c)));
      at = end + 1;
    } else if (EXPANDS.test(char) || char === '(') {
      const end = expansionEnd(text, at);
      if (end === undefined) return { ...done(true), word: { ...done(true).word, raw: text.slice(start) } };
      if (text.slice(at, end) === '$') add('$');
      else value = undefined;
      at = end;
    } else {
      if (GLOB.test(char) && !(char === '~' && at > start)) {
        // `{}` of find and a lone bracket stand for themselves.
        const alone = /^(?:\{\}|\{|\}|\[|\[\[|\]|\]\])(?=[\s;&|()<>]|$)/.exec(text.slice(start));
        if (alone === null || at > start + alone[0].length) value = undefined;
      }
      add(char);
      at += 1;
    }
  }
  return done(false);
}

/** Where a quote ends; undefined where it does not. */
function closing(text: string, from: number, quote: string, escapes: boolean): number | undefined {
  for (let at = from; at < text.length; at++) {
    if (escapes && text[at] === '\\') at += 1;
    else if (text[at] === quote) return at;
    else if (quote === '"' && text.startsWith('$(', at)) {
      const end = expansionEnd(text, at);
      if (end === undefined) return undefined;
      at = end - 1;
    }
  }
  return undefined;
}

/** The end of `$x`, `${…}`, `$(…)`, `(…)` or `` `…` ``. */
function expansionEnd(text: string, start: number): number | undefined {
  if (text[start] === '`') {
    const end = closing(text, start + 1, '`', true);
    return end === undefined ? undefined : end + 1;
  }
  const open = text[start] === '(' ? start : start + 1;
  const pair = text[open] === '(' ? '()' : text[open] === '{' ? '{}' : undefined;
  if (pair === undefined) {
    return start + (/^\$(?:\w+|[@*#?$!-])?/.exec(text.slice(start))?.[0].length ?? 1);
  }
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\') at += 1;
    else if (char === "'" || char === '"') {
      const end = closing(text, at + 1, char, char === '"');
      if (end === undefined) return undefined;
      at = end;
    } else if (char === pair[0]) depth += 1;
    else if (char === pair[1] && --depth === 0) return at + 1;
  }
  return undefined;
}

const OPENS = new Set(['if', 'for', 'while', 'until', 'case', 'select', '{', '(']);
const CLOSES = new Set(['fi', 'done', 'esac', '}', ')']);

/** A compound command is open, or an operator asks for another command. */
function isCompound(tokens: readonly Token[]): boolean {
  let depth = 0;
  let commandBegins = true;
  let inCase = 0;
  for (const token of tokens) {
    const raw = token.raw;
    if (token.type === 'operator') {
      if (raw === '(') depth += 1;
      // A pattern of `case` ends with a parenthesis that was not opened.
      if (raw === ')' && depth > inCase) depth -= 1;
      commandBegins = true;
      continue;
    }
    if (token.type !== 'word') continue;
    if (commandBegins && OPENS.has(raw)) {
      depth += 1;
      if (raw === 'case') inCase += 1;
    } else if (commandBegins && CLOSES.has(raw)) {
      depth -= 1;
      if (raw === 'esac') inCase -= 1;
    }
    commandBegins = commandBegins && /^(?:if|then|else|elif|while|until|do|!|\{|in|time)$/.test(raw);
  }
  const last = tokens.findLast((token) => token.raw !== '\n');
  const asks = last?.type === 'operator' && /^(?:&&|\|\||\|&?)$/.test(last.raw);
  return depth > 0 || asks;
}
