/** The shells of a session, one in the other, and what the commands do that are a shell's own matter. */
import { argumentsOf, programOf, type SimpleCommand, simpleCommands } from '../session/simple-commands.ts';
import {
  absolutePath,
  type Base,
  type Carried,
  carriedFor,
  changeDirectory,
  envValue,
  type Homes,
  innerShell,
  newShell,
  type ShellState,
  shellStarted,
} from './shell-state.ts';

/** Variables of the person at the terminal, which no program of an image needs. */
const PERSONAL = /^(?:PS1|PS2|PROMPT|HIST\w*|TERM|EDITOR|VISUAL|PAGER|LS_COLORS|PROMPT_COMMAND)$/;
/** Builtins that change only the shell they are typed into. */
const WITHOUT_TRACE =
  /^(?:set|shopt|ulimit|trap|hash|history|fc|bind|complete|unalias|stty|setopt|unsetopt|local|readonly|clear|reset|:)$/;

export class Shells {
  readonly #base: Base;
  readonly #homes: Homes | undefined;
  /** The innermost is the last. */
  readonly #shells: ShellState[];
  readonly #exported = new Set<string>();
  readonly #onEnv: (name: string, value: string) => void;

  /** @param onEnv told of what is exported, in the words of ENV */
  constructor(base: Base, homes: Homes | undefined, onEnv: (name: string, value: string) => void) {
    this.#base = base;
    this.#homes = homes;
    this.#onEnv = onEnv;
    this.#shells = [newShell(base, homes)];
  }

  get innermost(): ShellState {
    return this.#shells.at(-1) ?? newShell(this.#base, this.#homes);
  }

  get outermost(): ShellState {
    return this.#shells[0] ?? this.innermost;
  }

  /**
   * Does what a command does to the shell; false where it is none of the shell's own.
   * @param typed with `sudo`, where it was typed so
   */
  change(command: SimpleCommand, typed: string): boolean {
    const shell = this.innermost;
    const whole = typed.startsWith('sudo ') ? (simpleCommands(typed)[0] ?? command) : command;
    const started = shellStarted(whole, shell);
    if (started !== undefined) {
      this.#shells.push(innerShell(shell, started));
      return true;
    }
    if (command.words.length === 0) {
      for (const { name, word } of command.assignments) this.#assign(name, word);
      return command.redirects.length === 0;
    }
    const args = argumentsOf(command);
    switch (programOf(command)) {
      case 'cd':
      case 'pushd':
      case 'popd':
        changeDirectory(shell, command);
        return true;
      case 'export':
      case 'declare':
      case 'typeset':
        for (const { raw, value } of command.words.slice(1)) this.#export(raw, value);
        return true;
      case 'unset':
        for (const variable of args) this.#unset(variable);
        return true;
      case 'exit':
      case 'logout':
        this.#exit();
        return true;
      case 'alias':
        for (const { value = '' } of command.words.slice(1)) {
          const [, name, meaning = ''] = /^([\w.-]+)=(.*)$/s.exec(value) ?? [];
          if (name !== undefined) shell.aliases.set(name, meaning);
        }
        return true;
      case '.':
      case 'source':
        this.#source(args);
        return true;
      case 'umask':
        if (args[0] !== undefined && /^\d+$|=/.test(args[0])) shell.always.push(`umask ${args[0]}`);
        return true;
      default:
        return WITHOUT_TRACE.test(programOf(command));
    }
  }

  /** Where the outermost shell ends, so does the container; what comes after is of its next start. */
  #exit(): void {
    this.#shells.pop();
    if (this.#shells.length === 0) this.#shells.push(newShell(this.#base, this.#homes));
  }

  /** Startup files are for people, and were read by a shell that a build does not start. */
  #source([file]: readonly string[]): void {
    if (file === undefined || /(?:rc|profile|profile\.d\/\S+)$/.test(file)) return;
    this.innermost.always.push(`. ${absolutePath(this.innermost, file) ?? file}`);
  }

  #assign(name: string, { raw, value }: Carried): void {
    if (this.#exported.has(name)) this.#setEnv(name, { raw, value });
    else this.innermost.variables.set(name, { raw, value });
  }

  #export(raw: string, value: string | undefined): void {
    const name = /^([A-Za-z_]\w*)/.exec(raw)?.[1];
    if (name === undefined) return;
    const from = name.length + 1;
    const given = raw.startsWith(`${name}=`)
      ? { raw: raw.slice(from), value: value?.slice(from) }
      : this.innermost.variables.get(name);
    if (given !== undefined) this.#setEnv(name, given);
  }

  #setEnv(name: string, given: Carried): void {
    if (PERSONAL.test(name)) return;
    const { variables, always } = this.innermost;
    const value = envValue(given);
    const uses = [...variables.keys()].some((other) => new RegExp(`\\$\\{?${other}\\b`).test(given.raw));
    if (value === undefined || (uses && given.value === undefined)) {
      // ENV knows neither substitutions nor what was never exported.
      const carried = carriedFor({ ...this.innermost, always: [] }, given.raw);
      always.push(...carried, `export ${name}=${given.raw}`);
      return;
    }
    this.#exported.add(name);
    variables.delete(name);
    this.#onEnv(name, value);
  }

  #unset(name: string): void {
    this.innermost.variables.delete(name);
    if (this.#exported.delete(name)) this.#onEnv(name, '""');
  }
}
