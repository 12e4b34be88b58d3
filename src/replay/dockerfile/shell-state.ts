/** What a shell carries from one line to the next: directory, user, variables and what else would be lost in a build. */
import { posix } from 'node:path';
import type { Prompt } from '../session/prompt.ts';
import { argumentsOf, programOf, type SimpleCommand } from '../session/simple-commands.ts';

export interface ShellState {
  directory: string;
  /** For `cd -`. */
  previous: string;
  /** For `pushd` and `popd`. */
  stack: string[];
  user: string;
  /** Set, but not exported. */
  variables: Map<string, Carried>;
  aliases: Map<string, string>;
  functions: Map<string, string>;
  homes: Homes;
  /** Lines that every later command depends on: `umask 022`, `. venv/bin/activate`. */
  always: string[];
}

export interface Carried {
  /** As it stood in the command. */
  raw: string;
  /** Undefined where the shell expanded something. */
  value: string | undefined;
}

/** Home directories by user; those of others are where they are by default. */
export type Homes = ReadonlyMap<string, string>;

export interface Base {
  /** Working directory and user of the image; `user:group` where it has both. */
  directory: string;
  user: string;
}

export function newShell({ directory, user }: Base, homes: Homes = new Map()): ShellState {
  return {
    ...{ directory, previous: directory, stack: [], user, homes },
    ...{ variables: new Map(), aliases: new Map(), functions: new Map(), always: [] },
  };
}

/** A shell in the shell: it has the directory and the exported variables, and nothing else. */
export function innerShell(outer: ShellState, change: Partial<Base> = {}): ShellState {
  return newShell({ directory: outer.directory, user: outer.user, ...change }, outer.homes);
}

function homeOf({ homes }: Pick<ShellState, 'homes'>, userAndGroup: string): string {
  const user = nameOf(userAndGroup);
  if (/^\d+$/.test(user)) return '/';
  return homes.get(user) ?? (user === 'root' ? '/root' : `/home/${user}`);
}

/** Of `user:group`. */
function nameOf(userAndGroup: string): string {
  return userAndGroup.replace(/:.*/, '');
}

/** From the text of /etc/passwd. */
export function homesOf(passwd: string): Homes {
  const fields = passwd.split('\n').map((line) => line.split(':'));
  return new Map(fields.flatMap(([user, , , , , home]) => (user && home ? [[user, home] as const] : [])));
}

/** `uid:gid` by user, from the text of /etc/passwd. */
export function ownersOf(passwd: string): Map<string, string> {
  const fields = passwd.split('\n').map((line) => line.split(':'));
  return new Map(
    fields.flatMap(([user, , uid, gid]) => (user && uid && gid ? [[user, `${uid}:${gid}`] as const] : [])),
  );
}

/** The prompt knows user and directory better than anyone who reads along. */
export function believePrompt(state: ShellState, { directory, user }: Prompt): void {
  if (user !== undefined && user !== nameOf(state.user)) state.user = user;
  const shown = directory?.startsWith('~') ? homeOf(state, user ?? state.user) + directory.slice(1) : directory;
  if (!shown?.startsWith('/') || shown === state.directory) return;
  state.previous = state.directory;
  state.directory = shown;
}

/** `cd`, `pushd` and `popd`; false where the place is not known before the shell runs. */
export function changeDirectory(state: ShellState, command: SimpleCommand): boolean {
  const name = programOf(command);
  if (name === 'popd') {
    const back = state.stack.pop();
    if (back === undefined) return false;
    go(state, back);
    return true;
  }
  const word = command.words.slice(1).find(({ raw }) => !/^-[LPe@]+$/.test(raw));
  const to = word === undefined ? homeOf(state, state.user) : placeOf(state, word.value ?? unquoted(word.raw));
  if (to === undefined) return false;
  if (name === 'pushd') state.stack.push(state.directory);
  go(state, to);
  return true;
}

/** A path as it was typed, from the root; undefined where the shell expands more in it than a home directory. */
export function absolutePath(state: ShellState, typed: string): string | undefined {
  const home = /^~([\w.-]*)(?=\/|$)/.exec(typed);
  const path =
    home === null ? typed : homeOf(state, home[1] === '' ? state.user : (home[1] ?? '')) + typed.slice(home[0].length);
  const expanded = path.replace(/\$\{?(\w+)\}?/g, (all, name: string) => {
    if (name === 'HOME') return homeOf(state, state.user);
    if (name === 'PWD') return state.directory;
    return state.variables.get(name)?.value ?? all;
  });
  return /[$`*?]/.test(expanded) ? undefined : posix.resolve(state.directory, expanded);
}

export function withoutAlias({ aliases }: ShellState, text: string): string {
  const name = /^[\w.-]+(?=\s|$)/.exec(text)?.[0] ?? '';
  const alias = aliases.get(name);
  return alias === undefined ? text : alias + text.slice(name.length);
}

/** The lines that must come before a command for it to mean what it meant. */
export function carriedFor(state: ShellState, text: string): string[] {
  const variables = [...state.variables].filter(([name]) => new RegExp(`\\$\\{?${name}\\b`).test(text));
  const functions = [...state.functions].filter(([name]) =>
    new RegExp(`(?:^|[\\s;&|(])${name}(?:[\\s;&|)]|$)`).test(text),
  );
  return [
    ...state.always,
    ...variables.map(([name, { raw }]) => `${name}=${raw}`),
    ...functions.map(([, body]) => body),
  ];
}

/**
 * The value of a word for ENV, whose quoting is double quotes with the shell's variables; undefined for substitutions,
 * and for newlines, which ENV cannot have.
 */
export function envValue({ raw, value }: Carried): string | undefined {
  if (raw.includes('\n') || value?.includes('\n')) return undefined;
  if (value !== undefined) return `"${value.replace(/[\\"$]/g, '\\$&')}"`;
  if (/[`*?]|\$\(|\$'|'|~/.test(raw)) return undefined;
  const inner = raw.replace(/"/g, '');
  return /^[^\s\\]*$/.test(inner) || raw === `"${inner}"` ? `"${inner}"` : undefined;
}

/** `su`, `su - alice`, `sudo -i -u alice`, `bash`, `sh -l`: the user of the shell that it starts; undefined for no shell. */
export function shellStarted(command: SimpleCommand, state: ShellState): Partial<Base> | undefined {
  const name = programOf(command);
  const args = argumentsOf(command);
  if (/^(?:bash|dash|ash|sh|zsh|ksh)$/.test(name)) {
    return command.here === undefined &&
      command.redirects.length === 0 &&
      args.every((one) => /^(?:-[lix]+|--\w[\w-]*)$/.test(one))
      ? {}
      : undefined;
  }
  if (name === 'busybox' && /^(?:ash|sh)$/.test(args[0] ?? '') && args.length === 1) return {};
  if (name === 'su') {
    if (args.some((one) => /^(?:-c|--command)/.test(one))) return undefined;
    const user = args.find((one) => !one.startsWith('-')) ?? 'root';
    return args.some((one) => /^(?:-|-l|--login)$/.test(one)) ? { user, directory: homeOf(state, user) } : { user };
  }
  if (name === 'sudo') {
    const shell = args.some((one) => /^(?:-i|-s|--login|--shell|su|bash|sh)$/.test(one));
    if (!shell) return undefined;
    const user = args[args.findIndex((one) => /^(?:-u|--user)$/.test(one)) + 1];
    const named = args.some((one) => /^(?:-u|--user)$/.test(one)) && user !== undefined ? user : 'root';
    return args.includes('-i') ? { user: named, directory: homeOf(state, named) } : { user: named };
  }
  if (name === 'login' && args[0] !== undefined) return { user: args[0], directory: homeOf(state, args[0]) };
  if (name === 'newgrp' || (name === 'exec' && /^(?:ba|da|z|a)?sh$/.test(args[0] ?? ''))) return {};
  return undefined;
}

function placeOf(state: ShellState, typed: string): string | undefined {
  return typed === '-' ? state.previous : absolutePath(state, typed);
}

function go(state: ShellState, to: string): void {
  state.previous = state.directory;
  state.directory = to;
}

/** Only its quotes are taken away; a variable in it stays. */
function unquoted(raw: string): string {
  return raw.replace(/^"(.*)"$/, '$1');
}
