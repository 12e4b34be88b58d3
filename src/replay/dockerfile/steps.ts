/** What is to be done again of a session, in order: commands to run, files to copy, and what the shell carried. */
import type { Finding } from '../../migration/finding.ts';
import {
  argumentsOf,
  inSequence,
  programOf,
  type SimpleCommand,
  simpleCommands,
  withoutComment,
} from '../session/simple-commands.ts';
import type { Shell, TypedCommand } from '../session/typed-command.ts';
import { failureOf, mayTellFailure } from './failed.ts';
import { lostFile, secretKeptOut } from './findings.ts';
import { judge, judgeAll } from './judge.ts';
import { isDialogue, nonInteractive } from './noninteractive.ts';
import { asCondition, expanded, hindrance, leadsElsewhere, oneLine, withoutSudo } from './rewrite.ts';
import { secretsIn, withoutSecrets } from './secrets.ts';
import {
  absolutePath,
  type Base,
  believePrompt,
  carriedFor,
  type Homes,
  type ShellState,
  withoutAlias,
} from './shell-state.ts';
import { Shells } from './shells.ts';

/** Where and as whom. */
interface Where {
  directory: string;
  user: string;
}

export type Step =
  /** `lines` run one after the other, each only if the one before went well; a line may hold newlines. */
  | ({ type: 'run'; lines: string[]; shell: Shell | undefined; mayFail: boolean } & Where)
  /** In the words of ENV. */
  | { type: 'env'; name: string; value: string }
  /** A file whose content stood in the command. */
  | ({ type: 'file'; path: string; content: string } & Where)
  /** A file that was edited: its content is in the container. */
  | ({ type: 'edited'; path: string; command: string } & Where)
  | { type: 'comment'; text: string }
  /** Where the session ended; nothing ran there any more. */
  | ({ type: 'end' } & Where);

export interface StepOptions {
  base: Base;
  homes?: Homes;
  /** Failed commands are run again, and may fail again. */
  keepFailed: boolean;
}

/** What became of each command, for whoever wants to check. */
export type Fate = 'run' | 'state' | 'file' | 'look' | 'failed' | 'blocks' | 'secret';

export interface Steps {
  steps: Step[];
  findings: Finding[];
  /** One for each command. */
  fates: Fate[];
  /** That were typed or printed: for nobody to see. */
  secrets: ReadonlySet<string>;
}

export function stepsOf(commands: readonly TypedCommand[], options: StepOptions): Steps {
  const secrets = knownSecrets(commands);
  const walk = new Walk(options, secrets);
  const fates = commands.map((command, i) => walk.command(command, commands[i + 1]));
  return { steps: walk.end(), findings: walk.findings, fates, secrets };
}

/** Whether a line of output is of use to `stepsOf`, beside the first of a command. */
export function matters(line: string): boolean {
  return mayTellFailure(line) || isDialogue(line) || secretsIn(line).length > 0;
}

/** What was told once is a secret wherever it stands. */
function knownSecrets(commands: readonly TypedCommand[]): Set<string> {
  return new Set(
    commands.flatMap(({ text, output }) => [
      ...secretsIn(text).filter((secret) => secret.length >= 6),
      ...output
        .all()
        .flatMap(secretsIn)
        .filter((secret) => secret.length >= 12 || (secret.length >= 6 && /\d/.test(secret))),
    ]),
  );
}

class Walk {
  readonly findings: Finding[] = [];
  readonly #steps: Step[] = [];
  readonly #keepFailed: boolean;
  readonly #shells: Shells;
  readonly #secrets: ReadonlySet<string>;
  /** The name of the container itself, where the last command led to another host. */
  #home: string | undefined;

  constructor({ base, homes, keepFailed }: StepOptions, secrets: ReadonlySet<string>) {
    this.#keepFailed = keepFailed;
    this.#secrets = secrets;
    this.#shells = new Shells(base, homes, (name, value) => this.#steps.push({ type: 'env', name, value }));
  }

  get #shell(): ShellState {
    return this.#shells.innermost;
  }

  command(command: TypedCommand, next: TypedCommand | undefined): Fate {
    const { prompt } = command;
    if (this.#home !== undefined && prompt.host !== this.#home) {
      this.#comment(`not run: ${oneLine(withoutSecrets(command.text, this.#secrets))} (typed on another host)`);
      return 'blocks';
    }
    believePrompt(this.#shell, prompt);
    const text = withoutAlias(this.#shell, expanded(command));
    this.#home = leadsElsewhere(text) ? prompt.host : undefined;
    const shown = oneLine(withoutSecrets(text, this.#secrets));
    if (withoutSecrets(text, this.#secrets) !== text) {
      this.#comment(`left out, for the secret in it: ${shown}`);
      this.findings.push(secretKeptOut(shown));
      return 'secret';
    }
    const failure = failureOf(command, next);
    if (failure !== undefined) {
      if (this.#keepFailed) this.#run([withoutComment(text)], command, true);
      else this.#comment(`failed: ${shown} (${withoutSecrets(failure, this.#secrets)})`);
      return 'failed';
    }
    const parts = asCondition(text, command) ?? inSequence(text);
    const fates = parts.map((part, i) => this.#part(withoutComment(part), command, i === parts.length - 1));
    return FATES.find((fate) => fates.includes(fate)) ?? 'look';
  }

  end(): Step[] {
    const { directory, user } = this.#shells.outermost;
    return [...this.#steps, { type: 'end', directory, user }];
  }

  #part(typed: string, command: TypedCommand, isLast: boolean): Fate {
    const { text, user } = withoutSudo(typed);
    const simple = simpleCommands(text);
    const [first] = simple;
    if (first === undefined) return 'look';
    const defined = /^(?:function +)?([A-Za-z_]\w*) *\(\)/.exec(text)?.[1];
    if (defined !== undefined) {
      this.#shell.functions.set(defined, text);
      return 'state';
    }
    if (simple.length === 1 && this.#shells.change(first, typed)) return 'state';
    const isPipeline = simple.every(({ joint }, i) => joint === '|' || i === simple.length - 1);
    const verdict = isPipeline ? judge(simple, text) : judgeAll(simple, text);
    if (verdict.kind === 'edit') {
      this.#edited([...verdict.files, ...command.written], oneLine(typed));
      return 'file';
    }
    const why = verdict.kind === 'blocks' ? verdict.why : isLast ? hindrance(command) : undefined;
    if (why !== undefined) {
      this.#comment(`not run: ${oneLine(typed)} (${why})`);
      return 'blocks';
    }
    if (verdict.kind === 'look') return 'look';
    if (this.#writesFile(simple, user)) return 'file';
    this.#run([nonInteractive(text, command.output, command.shell === 'busybox')], command, false, user);
    return 'run';
  }

  #edited(files: readonly string[], command: string): void {
    const { directory, user } = this.#shell;
    const paths = new Set(files.map((file) => absolutePath(this.#shell, file)));
    if (paths.size === 0) this.#comment(`not run: ${command} (an editor; it was started without a file)`);
    for (const path of paths) {
      if (path !== undefined) this.#steps.push({ type: 'edited', path, command, directory, user });
      else {
        this.#comment(`not run: ${command} (an editor; it cannot be told which file it was)`);
        this.findings.push(lostFile(command));
      }
    }
  }

  /** `cat > file <<EOF`: the file is all that it made. */
  #writesFile(simple: readonly SimpleCommand[], user: string | undefined): boolean {
    const [command] = simple;
    if (command === undefined || simple.length !== 1 || command.here?.literal !== true) return false;
    const name = programOf(command);
    const args = argumentsOf(command);
    const outputs = command.redirects.filter(({ operator }) => !operator.startsWith('<<'));
    const target =
      name === 'cat' && args.length === 0 && outputs.length === 1 && outputs[0]?.operator === '>'
        ? outputs[0].target?.value
        : name === 'tee' && args.length === 1 && outputs.every(({ target: one }) => one?.value === '/dev/null')
          ? args[0]
          : undefined;
    const path = target === undefined ? undefined : absolutePath(this.#shell, target);
    if (path === undefined) return false;
    const { directory } = this.#shell;
    this.#steps.push({ type: 'file', path, content: command.here.body, directory, user: user ?? this.#shell.user });
    return true;
  }

  #run(lines: string[], { shell }: TypedCommand, mayFail: boolean, user = this.#shell.user): void {
    const carried = carriedFor(this.#shell, lines.join('\n'));
    this.#steps.push({
      type: 'run',
      lines: [...carried, ...lines],
      shell,
      mayFail,
      user,
      directory: this.#shell.directory,
    });
  }

  #comment(text: string): void {
    this.#steps.push({ type: 'comment', text });
  }
}

/** The strongest word about a command of several parts. */
const FATES: readonly Fate[] = ['run', 'file', 'state', 'blocks', 'look'];
