/** What a typed command says, in the form in which a build can do it. */
import { inSequence, programOf, simpleCommands } from '../session/simple-commands.ts';
import { tokenize } from '../session/tokens.ts';
import type { TypedCommand } from '../session/typed-command.ts';
import { nonInteractive } from './noninteractive.ts';

/** `!!` and `!apt` are written out by the shell, on the line after. */
export function expanded({ text, shell, output }: TypedCommand): string {
  const refers = /(?:^|\s|\^)(?:!!|!-?\d|!\??[A-Za-z]|!\$|!\*)|^\^/.test(text.replace(/'[^']*'/g, ''));
  const [first] = output.head;
  return refers && (shell === 'bash' || shell === 'zsh') && first !== undefined && first !== '' ? first : text;
}

/** A build has its root; `user` as whom it ran. */
export function withoutSudo(text: string): { text: string; user: string | undefined } {
  const match = /^sudo +((?:-[EHnkS]+ +|-u +\S+ +|--user[= ]\S+ +)*)(?=[^-\s])/.exec(text);
  if (match === null) return { text, user: undefined };
  const user = /(?:-u|--user)[= ]+(\S+)/.exec(match[1] ?? '')?.[1] ?? 'root';
  return { text: text.slice(match[0].length), user };
}

/** Seen on the screen, whatever the program. */
export function hindrance({ fullScreen, dialogue, stopped }: TypedCommand): string | undefined {
  if (fullScreen) return 'needs a terminal: it took the whole screen';
  if (dialogue) return 'waits for what is typed';
  return stopped ? 'was stopped by hand' : undefined;
}

/** For a comment. */
export function oneLine(text: string): string {
  const [first = '', ...more] = text.split('\n');
  return more.length === 0 ? first : `${first} …`;
}

const CONDITIONS = /^(?:test|\[|\[\[|grep|egrep|fgrep|command|which|type|id|getent|cmp|diff|pgrep)$/;
const OWN_MATTER =
  /^(?:cd|pushd|popd|export|declare|typeset|unset|exit|logout|alias|\.|source|umask|su|sudo|[\w.]*sh)$/;

/**
 * `test -e x && y`: nothing tells whether y ran, so the build is to ask again, and to go on either way. Undefined where
 * the command is none such.
 */
export function asCondition(text: string, { output, shell }: TypedCommand): string[] | undefined {
  const operators = tokenize(text).tokens.filter(({ type }) => type === 'operator');
  if (operators.length === 0 || !operators.every(({ raw }) => raw === '&&' || raw === '|')) return undefined;
  const simple = simpleCommands(text);
  const [condition, ...then] = inSequence(text);
  const [first] = simple;
  if (first === undefined || condition === undefined || then.length === 0) return undefined;
  if (!CONDITIONS.test(programOf(first)) || simple.some((one) => OWN_MATTER.test(programOf(one)))) return undefined;
  const commands = then.map((part) => nonInteractive(part, output, shell === 'busybox'));
  return [`if ${condition}; then ${commands.join(' && ')}; fi`];
}

/** What is typed after it may be typed on another host; its prompt shows when it is not any more. */
export function leadsElsewhere(text: string): boolean {
  return simpleCommands(withoutSudo(text).text).some((command) =>
    /^(?:ssh|mosh|telnet|rlogin|docker|podman|kubectl|lxc|machinectl|nsenter)$/.test(programOf(command)),
  );
}
