/** The prompts that shells have by default in images: bash of Debian, Fedora and plain, sh and dash, zsh, busybox. */

export interface Prompt {
  /** As it stands on the screen. */
  text: string;
  /** Equal for prompts of one shell, whatever the directory. */
  kind: string;
  /** It may as well be a line of output: `# `, `$ `. */
  weak: boolean;
  isRoot: boolean;
  user?: string;
  host?: string;
  /** As shown: `~`, `/usr/src`, or only its last part. */
  directory?: string;
  shell?: string;
}

export interface PromptedLine {
  prompt: Prompt;
  /** What stands after it. */
  rest: string;
}

const SIGN = '(?<sign>[#$%])(?: (?<rest>.*)|)$';
/** `(venv) `, or what Debian shows in a chroot. */
const BEFORE = String.raw`^(?:\([\w.:/@-]+\) ?)?`;

const FORMS: readonly { kind: string; weak?: true; form: RegExp }[] = [
  {
    kind: 'user@host',
    form: new RegExp(
      `${BEFORE}\\[?(?:I have no name!|(?<user>[a-z_][\\w.-]*))@(?<host>[\\w.-]+)(?:[: ](?<dir>[^\\s#$%:][^#$%]*?))?\\]? ?${SIGN}`,
      's',
    ),
  },
  { kind: 'shell-version', form: new RegExp(`${BEFORE}(?<shell>bash|sh|dash|ksh|zsh)-\\d+\\.\\d+[\\w.]*${SIGN}`, 's') },
  { kind: 'dir', form: new RegExp(`${BEFORE}(?<dir>~(?:/\\S*)?|/\\S*) ${SIGN}`, 's') },
  { kind: 'host:dir', form: new RegExp(`${BEFORE}(?<host>\\w[\\w.-]*):(?<dir>~(?:/\\S*)?|/\\S*) ?${SIGN}`, 's') },
  {
    kind: 'host',
    weak: true,
    form: new RegExp(`${BEFORE}(?<host>[A-Za-z][\\w.-]*|[0-9a-f]{12})(?<sign>[#%])(?: (?<rest>.*)|)$`, 's'),
  },
  { kind: 'sign', weak: true, form: new RegExp(`${BEFORE}${SIGN}`, 's') },
];

/** What bash, dash, busybox and zsh ask for the rest of a command with. */
const CONTINUATION =
  /^(?:>(?: |$)|(?:[a-z]+ )*(?:quote|dquote|bquote|heredoc|pipe|for|while|until|if|then|else|elif|case|cmdsubst|cmdand|cmdor|function|subsh|cursh|mathsubst|braceparam|select|repeat)> )/;

/**
 * The prompt that a line begins with. `custom` is a regular expression of the user's, matched at the begin of lines,
 * which wins; its groups `dir` and `user` are used where it has them.
 */
export function readPrompt(line: string, custom?: RegExp): PromptedLine | undefined {
  const own = custom?.exec(line);
  if (own?.index === 0 && own[0] !== '') {
    const { dir, user } = own.groups ?? {};
    return {
      prompt: {
        text: own[0],
        kind: 'custom',
        weak: false,
        isRoot: !/[$%>]\s*$/.test(own[0]),
        ...(dir && { directory: dir }),
        ...(user && { user }),
      },
      rest: line.slice(own[0].length),
    };
  }
  for (const { kind, weak = false, form } of FORMS) {
    const groups = form.exec(line)?.groups;
    if (groups === undefined) continue;
    const { user, host, dir, shell, sign, rest = '' } = groups;
    return {
      prompt: {
        text: line.slice(0, line.length - rest.length),
        kind: `${kind}${sign === '%' ? '%' : ''}${shell === undefined ? '' : `:${shell}`}`,
        weak,
        isRoot: sign === '#' || user === 'root',
        ...(user !== undefined && { user }),
        ...(host !== undefined && { host }),
        ...(dir !== undefined && { directory: dir }),
        ...(shell !== undefined && { shell }),
      },
      rest,
    };
  }
  return undefined;
}

/** What stands after the prompt of a continuation line; undefined where the line is none. */
export function readContinuation(line: string): string | undefined {
  const prompt = CONTINUATION.exec(line)?.[0];
  return prompt === undefined ? undefined : line.slice(prompt.length);
}
