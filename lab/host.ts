/** One host of a lab, as tests and commands use it. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DrayageError } from '../src/errors.ts';
import { type Run, type RunOptions, type RunResult, runOnTerminal, type Started, start } from '../src/exec/run.ts';
import { dockerSocket } from './boot.ts';
import { loadImage } from './docker-api.ts';
import type { HostState } from './state.ts';

/** Services that a host's init keeps alive. */
export type Service = 'containerd' | 'dockerd' | 'sshd' | 'drayage-agent';

export interface InHostOptions extends Omit<RunOptions, 'env' | 'cwd' | 'extraStdio'> {
  /** Added to the small environment that programs have in a host; nothing is inherited from this process. */
  env?: Record<string, string>;
  cwd?: string;
}

export interface Interruptible extends Started {
  /** As by Ctrl-C, or by another signal. */
  interrupt(signal?: 'INT' | 'HUP' | 'KILL'): Promise<void>;
}

export class LabHost {
  readonly name: string;
  readonly address: string;
  readonly #state: HostState;
  readonly #run: Run;

  constructor(state: HostState, run: Run) {
    this.name = state.name;
    this.address = state.address;
    this.#state = state;
    this.#run = run;
  }

  /** The host's init, as this machine sees it. */
  get pid(): number {
    if (this.#state.init === undefined) throw new DrayageError('LAB_NOT_FOUND', `Lab host ${this.name} is down.`);
    return this.#state.init.pid;
  }

  /** Docker's API of the host, reachable from this machine by this path. */
  get dockerSocket(): string {
    return dockerSocket(this.pid);
  }

  /** A path in the host as this machine can open it; only for what no program in the host can swap for a symlink. */
  path(inHost: string): string {
    return `/proc/${this.pid}/root${inHost}`;
  }

  /** Runs a program in the host to its end; it is killed if it is cancelled. */
  run(program: string, args: readonly string[] = [], options: InHostOptions = {}): Promise<RunResult> {
    const { env, cwd, ...rest } = options;
    return this.#run('nsenter', [...this.#enter(env, cwd), 'setpriv', '--pdeathsig', 'KILL', program, ...args], rest);
  }

  /** Starts a program in the host and hands its streams over; for what is long-lived. */
  start(program: string, args: readonly string[] = [], options: InHostOptions = {}): Started {
    const { env, cwd, input: _, okCodes: __, ...rest } = options;
    return start('nsenter', [...this.#enter(env, cwd), 'setpriv', '--pdeathsig', 'KILL', program, ...args], rest);
  }

  /** The same for what is to be ended by Ctrl-C: `kill` only ends what has entered the host. */
  startInterruptible(program: string, args: readonly string[] = []): Interruptible {
    const pidFile = `/run/interruptible-${randomUUID()}.pid`;
    const started = this.start('sh', ['-c', 'echo $$ >"$0"; exec "$@"', pidFile, program, ...args]);
    const interrupt = async (signal = 'INT') => {
      await this.run('sh', ['-c', 'kill -s "$1" "$(cat "$0")"', pidFile, signal], { okCodes: [0, 1] });
    };
    return { ...started, interrupt };
  }

  /**
   * Runs a program on the user's terminal (or on whatever standard streams there are) and resolves to its status.
   * @param terminal its type, where there is one: the program gets a terminal that is the host's own, with job control.
   */
  onTerminal(program: string, args: readonly string[], terminal: string | undefined): Promise<number> {
    if (terminal === undefined) return runOnTerminal('nsenter', [...this.#enter(), program, ...args]);
    // script(1) gives the program a terminal of the host's own; it takes a command only as a line for the shell.
    const line = `exec ${[program, ...args].map(quote).join(' ')}`;
    const script = ['script', '--quiet', '--return', '--command', line, '/dev/null'];
    return runOnTerminal('nsenter', [...this.#enter({ TERM: terminal, SHELL: '/bin/bash' }), ...script]);
  }

  /** Kills a service as a crash would; its init starts it again after a second. */
  async kill9(service: Service): Promise<void> {
    const pid = (await readFile(this.path(`/run/drayage-supervisor/${service}.pid`), 'utf8')).trim();
    await this.run('kill', ['-9', pid]);
  }

  /** Gives the host's engine the image in an archive. */
  loadImage(archive: string): Promise<void> {
    return loadImage(this.dockerSocket, createReadStream(archive));
  }

  #enter(env: Record<string, string> = {}, cwd = '/'): string[] {
    const variables = Object.entries({ ...ENVIRONMENT, ...env }).map(([name, value]) => `${name}=${value}`);
    const into = ['-t', String(this.pid), '-m', '-p', '-n', '-u', '-i', '-r', '-w'];
    return [...into, '--', 'env', '-i', '-C', cwd, ...variables];
  }
}

/** For a POSIX shell. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  LANG: 'C.UTF-8',
};
