/** The Dockerfile of a session, and the files that belong to its build context. Pure: contents are given. */
import type { Finding } from '../../migration/finding.ts';
import { lostFile, secretInFile } from './findings.ts';
import { type Category, categoryOf, flattened, layerOf, needsOwnShell } from './layers.ts';
import { secretsIn } from './secrets.ts';
import type { Base } from './shell-state.ts';
import type { Step } from './steps.ts';

export interface ContextFile {
  content: Buffer;
  /** Permissions. */
  mode: number;
  uid: number;
  gid: number;
}

/** What is at an edited path in the container: the file, nothing any more, what its image had, or too much. */
export type Captured = ContextFile | 'absent' | 'unchanged' | 'large';

export interface WriteOptions {
  /** After FROM. */
  from: string;
  /** Comment lines at the top. */
  about: readonly string[];
  base: Base;
  /** By path; undefined where no container is at hand. */
  captured: ReadonlyMap<string, Captured> | undefined;
  /** `uid:gid` by user, as the container has them; else a user's group is supposed to have the user's name. */
  owners?: ReadonlyMap<string, string>;
}

export interface Draft {
  dockerfile: string;
  /** By name in the build context. */
  context: Map<string, ContextFile>;
  findings: Finding[];
}

export function writeDockerfile(steps: readonly Step[], options: WriteOptions): Draft {
  const writer = new Writer(steps, options);
  for (const [index, step] of steps.entries()) writer.step(step, index);
  return writer.draft();
}

class Writer {
  readonly #options: WriteOptions;
  readonly #steps: readonly Step[];
  readonly #body: string[] = [];
  readonly #context = new Map<string, ContextFile>();
  readonly #findings: Finding[] = [];
  readonly #updates: boolean;
  #where: Base;
  #group: { category: Category; lines: string[] } | undefined;
  #comments: string[] = [];
  /** The instruction that was written last. */
  #last = '';
  #installs = false;
  #shell: string | undefined;

  constructor(steps: readonly Step[], options: WriteOptions) {
    this.#steps = steps;
    this.#options = options;
    this.#where = options.base;
    const lines = steps.flatMap((step) => (step.type === 'run' ? step.lines : []));
    this.#updates = lines.some((line) => /^apt-get\b.* update\b/.test(line));
    const particular = steps.find((step) => step.type === 'run' && step.lines.some(needsOwnShell));
    const shell = particular?.type === 'run' ? particular.shell : undefined;
    if (shell === 'bash' || shell === 'zsh') this.#shell = `/bin/${shell}`;
  }

  step(step: Step, index: number): void {
    switch (step.type) {
      case 'run':
        this.#place(step);
        this.#run(step);
        break;
      case 'env':
        this.#flush();
        this.#instruction(`ENV ${step.name}=${step.value}`);
        break;
      case 'file':
        this.#file(step);
        break;
      case 'edited':
        this.#edited(step, index);
        break;
      case 'comment':
        this.#comments.push(step.text);
        break;
      case 'end':
        this.#flush();
        this.#place(step);
        break;
      default:
        step satisfies never;
    }
  }

  draft(): Draft {
    this.#flush();
    const { from, about } = this.#options;
    const head = [...about.map((line) => `# ${line}`), `FROM ${from}`];
    if (this.#shell !== undefined) head.push(`SHELL ["${this.#shell}", "-c"]`);
    if (this.#installs) head.push('ARG DEBIAN_FRONTEND=noninteractive');
    const text = [...head, ...this.#body, ...this.#comments.map(comment)].join('\n');
    return { dockerfile: `${text}\n`, context: this.#context, findings: this.#findings };
  }

  #place({ directory, user }: Base): void {
    if (directory !== this.#where.directory) {
      this.#flush();
      this.#instruction(`WORKDIR ${spaced(directory)}`);
    }
    if (user !== this.#where.user) {
      this.#flush();
      // That the last user is root is for the session to say.
      this.#instruction(`USER ${user}`, user === 'root' ? ['DL3002'] : []);
    }
    this.#where = { directory, user };
  }

  #run({ lines, mayFail, shell }: Step & { type: 'run' }): void {
    const flat = lines.map(flattened);
    const own = shell === 'bash' || shell === 'zsh' ? `/bin/${shell}` : '/bin/sh';
    const program = this.#shell ?? (lines.some(needsOwnShell) ? own : '/bin/sh');
    if (flat.some((line) => line === undefined)) {
      // Newlines that mean something: only the JSON form has them.
      this.#flush();
      const carried = lines.slice(0, -1);
      const before = carried.length === 0 ? [] : ['set -e', ...carried, ...(mayFail ? ['set +e'] : [])];
      const script = [...before, ...lines.slice(-1), ...(mayFail ? ['true'] : [])].join('\n');
      this.#instruction(`RUN ${JSON.stringify([program, '-c', script])}`);
      return;
    }
    const whole = flat.filter((line) => line !== undefined);
    const last = whole.at(-1) ?? '';
    const category = categoryOf(last);
    if (this.#group !== undefined && this.#group.category !== category) this.#flush();
    this.#group ??= { category, lines: [] };
    for (const line of whole.slice(0, -1)) if (!this.#group.lines.includes(line)) this.#group.lines.push(line);
    this.#group.lines.push(mayFail ? `${/[;&|]/.test(last) ? `(${last})` : last} || true` : last);
  }

  #flush(): void {
    const group = this.#group;
    this.#group = undefined;
    const lines = group?.lines ?? [];
    const layer = layerOf(lines.length > 1 ? lines.map(together) : lines, this.#updates);
    if (layer === undefined) return;
    if (layer.lines.some((line) => /^apt-get\b.*\binstall\b/.test(line))) this.#installs = true;
    this.#instruction(`RUN ${layer.lines.join(' \\\n    && ')}`, layer.ignored);
  }

  #file({ path, content, user }: Step & { type: 'file' }): void {
    this.#flush();
    const known = user.includes(':') ? user : this.#options.owners?.get(user);
    const owner = user === 'root' ? '' : (known ?? `${user}:${user}`);
    this.#copy(path, { content: Buffer.from(content), mode: 0o644, uid: 0, gid: 0 }, owner);
  }

  #edited({ path, command, directory, user }: Step & { type: 'edited' }, index: number): void {
    const { captured } = this.#options;
    const file = captured?.get(path);
    const shown = `not run: ${command} (an editor; `;
    if (file === undefined) {
      this.#comments.push(`${shown}what it wrote to ${path} is not in a log)`);
      this.#findings.push(lostFile(`${path}, by ${command}`));
    } else if (file === 'absent') this.#comments.push(`${shown}there is no file ${path})`);
    else if (file === 'unchanged') this.#comments.push(`${shown}${path} is as it was)`);
    else if (file === 'large') {
      this.#comments.push(`${shown}${path} is too large to be carried with the Dockerfile)`);
      this.#findings.push(lostFile(`${path}, which is too large`));
    } else if (secretsIn(file.content.toString('utf8')).length > 0) {
      this.#comments.push(`left out, for a secret in it: ${path}`);
      this.#findings.push(secretInFile(path));
    } else if (!this.#isSame(path, index)) {
      this.#flush();
      this.#place({ directory, user });
      this.#copy(path, file, file.uid === 0 && file.gid === 0 ? '' : `${file.uid}:${file.gid}`);
    }
  }

  /** It has been copied, and nothing that ran since speaks of it. */
  #isSame(path: string, index: number): boolean {
    const before = this.#steps.findLastIndex((step, i) => i < index && step.type === 'edited' && step.path === path);
    if (before < 0) return false;
    const name = path.split('/').at(-1) ?? path;
    return !this.#steps
      .slice(before, index)
      .some((step) => step.type === 'run' && step.lines.some((line) => line.includes(name)));
  }

  #copy(path: string, file: ContextFile, owner: string): void {
    let name = `files${path}`;
    for (let n = 2; this.#context.get(name)?.content.equals(file.content) === false; n++) name = `files-${n}${path}`;
    this.#context.set(name, file);
    const option = owner === '' ? '' : `--chown=${owner} `;
    const places = /\s/.test(path) ? JSON.stringify([name, path]) : `${name} ${path}`;
    this.#instruction(`COPY ${option}${places}`);
  }

  /** @param ignored rules of hadolint that what was typed does not keep */
  #instruction(text: string, ignored: readonly string[] = []): void {
    // Layers are kept apart where they are about different things.
    const isNextRun = text.startsWith('RUN ') && this.#last.startsWith('RUN ');
    const rules = isNextRun ? [...ignored, 'DL3059'] : ignored;
    const pragma = rules.length === 0 ? [] : [`# hadolint ignore=${rules.join(',')}`];
    this.#body.push(...this.#comments.splice(0).map(comment), ...pragma, ...text.split('\n'));
    this.#last = text;
  }
}

function comment(text: string): string {
  return `# ${text.replace(/\s*\n\s*/g, ' ')}`;
}

/** A list in a row of `&&`. */
function together(line: string): string {
  return line.includes('||') ? `{ ${line}; }` : line;
}

/** As WORKDIR takes it, which expands variables. */
function spaced(path: string): string {
  const literal = path.replace(/[\\$"]/g, '\\$&');
  return /\s/.test(path) ? `"${literal}"` : literal;
}
