/** The form of a command in which it asks nothing, where a build could not answer. */

import { quote } from '../session/simple-commands.ts';
import type { Output } from '../session/typed-command.ts';

/** A program, the subcommands that ask or need more to be clean, and what is added after them unless it is there. */
const ADDED: readonly { form: RegExp; unless: RegExp; add: string }[] = [
  {
    form: /^(?:DEBIAN_FRONTEND=\w+ +)?(?:apt-get|aptitude)\b(?: +-\S+| +[\w:]+=\S+)*? +(?:install|reinstall|remove|purge|upgrade|dist-upgrade|full-upgrade|safe-upgrade|autoremove|autopurge|build-dep)\b/,
    unless: / (?:-[a-z]*y[a-z]*|--yes|--assume-yes|-qq)\b/,
    add: '-y',
  },
  {
    form: /^(?:yum|dnf|microdnf|tdnf)\b(?: +-\S+)*? +(?:install|remove|erase|update|upgrade|groupinstall|reinstall|autoremove|localinstall|module \w+)\b/,
    unless: / (?:-[a-z]*y[a-z]*|--assumeyes)\b/,
    add: '-y',
  },
  { form: /^zypper\b(?= )/, unless: / (?:-n|--non-interactive)\b/, add: '--non-interactive' },
  { form: /^pacman +-[SRU]\w*/, unless: / --noconfirm\b/, add: '--noconfirm' },
  { form: /^(?:add-apt-repository|apt-add-repository)\b/, unless: / (?:-y|--yes)\b/, add: '-y' },
  { form: /^apk\b(?: +-\S+)*? +add\b/, unless: / --no-cache\b/, add: '--no-cache' },
  { form: /^(?:python3? -m )?pip3? +install\b/, unless: / --no-cache-dir\b/, add: '--no-cache-dir' },
  { form: /^(?:python3? -m )?pip3? +uninstall\b/, unless: / (?:-y|--yes)\b/, add: '-y' },
  { form: /^npm +init\b/, unless: / (?:-y|--yes)\b/, add: '-y' },
  { form: /^npx\b/, unless: / (?:-y|--yes)\b/, add: '--yes' },
  { form: /^conda +(?:install|create|remove|update)\b/, unless: / (?:-y|--yes)\b/, add: '-y' },
  { form: /^dpkg-reconfigure\b/, unless: / (?:-f|--frontend)\b/, add: '-f noninteractive' },
  { form: /^unzip\b/, unless: / -[a-zA-Z]*[onltvpzZ]/, add: '-o' },
];

const ANSWERED = /(?:\[[yn]\/[yn]\]|\(y(?:es)?\/n(?:o)?(?:\/[^)]*)?\)|\[y\/N\/[^\]]*\])[?:]*\s*(\w*)\s*$/i;
const QUESTION = /^(?:\/\S*\/)?(?:rm|cp|mv|ln|rmdir): .*\? ?(\w+)$/;

const ABOUT_USER = /[Pp]assword|Full Name|Is the information correct/;
const KEY_SAVED = /^Your identification has been saved in (\S+)$/;

/** Whether a line of output says what was asked or answered. */
export function isDialogue(line: string): boolean {
  return [ANSWERED, QUESTION, ABOUT_USER, KEY_SAVED].some((form) => form.test(line));
}

/**
 * @param isBusybox its `adduser` knows other options than Debian's
 * @returns the command as a build is to run it
 */
export function nonInteractive(typed: string, output: Output, isBusybox: boolean): string {
  const text = typed.replace(/^(DEBIAN_FRONTEND=\w+ +)?apt(?= )/, '$1apt-get');
  if (/^adduser\b/.test(text) && asked(output, ABOUT_USER)) {
    return text.replace(/^adduser\b/, isBusybox ? 'adduser -D' : 'adduser --disabled-password --gecos ""');
  }
  if (/^ssh-keygen\b/.test(text)) {
    const file = / -f[ =]?\S/.test(text) ? '' : ` -f ${quote(keyFile(output))}`;
    return `${text}${/ -N\b/.test(text) ? '' : ' -N ""'}${file}`;
  }
  for (const { form, unless, add } of ADDED) {
    const head = form.exec(text)?.[0];
    if (head === undefined) continue;
    return unless.test(text) ? text : `${head} ${add}${text.slice(head.length)}`;
  }
  const answers = output.all().flatMap((line) => {
    const match = ANSWERED.exec(line) ?? QUESTION.exec(line);
    return match === null ? [] : [match[1] ?? ''];
  });
  if (answers.length === 0 || /[|;&]/.test(text)) return text;
  return `printf '${answers.map((answer) => `${answer}\\n`).join('')}' | ${text}`;
}

function asked(output: Output, form: RegExp): boolean {
  return output.all().some((line) => form.test(line));
}

function keyFile(output: Output): string {
  for (const line of output.all()) {
    const saved = KEY_SAVED.exec(line)?.[1];
    if (saved !== undefined) return saved;
  }
  return '/root/.ssh/id_ed25519';
}
