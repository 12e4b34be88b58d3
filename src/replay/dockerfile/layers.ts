/** Commands that run one after the other in the same place, as the lines of one RUN, as a person would write it. */
import { tokenize } from '../session/tokens.ts';

export interface Layer {
  /** Each runs only if the one before went well. */
  lines: string[];
  /** Rules of hadolint that what was typed does not keep: versions that nobody chose. */
  ignored: string[];
}

export type Category = 'packages' | 'other';

const PACKAGES = /^(?:[A-Z_]+=\S+ +)*(?:apt-get|apt-key|dpkg|add-apt-repository|apk|yum|dnf|microdnf|zypper|pacman)\b/;
const APT_NEEDS_LISTS =
  /^(?:[A-Z_]+=\S+ +)*apt-get\b(?: +-\S+)* +(?:install|build-dep|upgrade|dist-upgrade|full-upgrade)\b/;
const APT_UPDATE = /^apt-get\b(?: +-\S+)* +update\b(?: +-\S+)*$/;
const PLAIN_INSTALL = /^apt-get install -y((?: +[a-z0-9][\w.+:=~-]*)+)$/;
const CLEAN_APT = 'rm -rf /var/lib/apt/lists/*';

export function categoryOf(line: string): Category {
  return PACKAGES.test(line) ? 'packages' : 'other';
}

/** @param updates the session fetched the lists of packages at some time, so every layer that installs has to, too */
export function layerOf(typed: readonly string[], updates: boolean): Layer | undefined {
  const lines = cleaned(merged(withLists(typed, updates)));
  return lines.length === 0 ? undefined : { lines, ignored: ignoredRules(lines) };
}

/** Whether the lines need the shell that they were typed into: `sh` would not understand them, or otherwise. */
export function needsOwnShell(line: string): boolean {
  return (
    /\[\[|<\(|>\(|<<<|&>|\$'|\$\{\w+(?:\[|\/|:\d|\^|,)|\{[\w.-]*,[\w.,-]*\}|\{\w+\.\.\w+\}|(?:^|\s)(?:function|pushd|popd|source|shopt|declare|local|mapfile|readarray|select)\s|\w+=\(|\*\*\/|(?:^|[;&|]\s*)print\s/.test(
      line,
    ) || /\becho\s+(?:-[neE]*e|.*\\)/.test(line)
  );
}

/** A command of several lines on one; undefined where a newline is inside of quotes, or belongs to a here-document. */
export function flattened(text: string): string | undefined {
  if (!text.includes('\n')) return text;
  const joined = text.replace(/\\\n\s*/g, ' ');
  if (!joined.includes('\n')) return joined;
  const { tokens } = tokenize(joined);
  if (
    /\bcase\b/.test(joined) ||
    tokens.some((token) => token.type === 'here-document' || (token.type === 'word' && token.raw.includes('\n')))
  ) {
    return undefined;
  }
  return joined
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line, i, all) =>
      i === all.length - 1
        ? line
        : /(?:^|\s)(?:do|then|else|\{|\(|&&|\|\|?)$|;$|&$/.test(line)
          ? `${line} `
          : `${line}; `,
    )
    .join('');
}

/** Lists of packages are fetched before the first that needs them, and once in a row. */
function withLists(typed: readonly string[], updates: boolean): string[] {
  const lines: string[] = [];
  let fetched = false;
  for (const line of typed) {
    if (APT_UPDATE.test(line)) {
      if (lines.at(-1) !== line) lines.push(line);
      fetched = true;
      continue;
    }
    if (APT_NEEDS_LISTS.test(line) && !fetched && updates) {
      lines.push('apt-get update');
      fetched = true;
    }
    lines.push(line);
  }
  // Alone it only fills a cache, which no layer keeps.
  return lines.some((line) => APT_NEEDS_LISTS.test(line)) ? lines : lines.filter((line) => !APT_UPDATE.test(line));
}

function merged(lines: readonly string[]): string[] {
  const result: string[] = [];
  for (const line of lines) {
    const packages = PLAIN_INSTALL.exec(line)?.[1];
    if (packages !== undefined && PLAIN_INSTALL.test(result.at(-1) ?? '')) result.push(result.pop() + packages);
    else result.push(line);
  }
  return result;
}

function cleaned(lines: readonly string[]): string[] {
  const result = [...lines];
  if (lines.some((line) => APT_NEEDS_LISTS.test(line))) {
    if (!lines.some((line) => line.includes('/var/lib/apt/lists'))) result.push(CLEAN_APT);
  }
  for (const manager of ['yum', 'dnf', 'microdnf', 'zypper']) {
    const used = lines.some((line) => new RegExp(`^${manager}\\b.*\\b(?:install|update|upgrade)\\b`).test(line));
    if (used && !lines.some((line) => line.startsWith(`${manager} clean`))) {
      result.push(`${manager} clean${manager === 'zypper' ? '' : ' all'}`);
    }
  }
  return result;
}

const RULES: readonly (readonly [rule: string, form: RegExp])[] = [
  ['DL3003', /(?:^|[;&(]\s*)cd\s/],
  ['DL3008', /\bapt-get\b.*\binstall\b(?!.*=)/],
  ['DL3013', /\bpip3?\b.*\binstall\b(?!.*(?:==| -r|\.whl|\s\.(?:\s|$)))/],
  ['DL3015', /\bapt-get\b.*\binstall\b(?!.*--no-install-recommends)/],
  ['DL3016', /\bnpm\b.*\b(?:install|i)\s+[^-\s](?!.*@\d)/],
  ['DL3018', /\bapk\b.*\badd\b(?!.*=)/],
  ['DL3028', /\bgem\b.*\binstall\b(?!.*(?::| -v))/],
  ['DL3033', /\byum\b.*\binstall\b/],
  ['DL3037', /\bzypper\b.*\binstall\b/],
  ['DL3041', /\bdnf\b.*\binstall\b/],
  ['DL3047', /\bwget\b(?!.*(?:-q|--quiet|--progress|-nv))/],
  ['DL4006', /[^|]\|[^|]/],
];

function ignoredRules(lines: readonly string[]): string[] {
  return RULES.filter(([, form]) => lines.some((line) => form.test(line))).map(([rule]) => rule);
}
