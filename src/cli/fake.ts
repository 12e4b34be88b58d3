/** For tests of the commands: an agent that answers as told, and a terminal that remembers. */

import { PassThrough, Readable } from 'node:stream';
import { Command } from 'commander';
import { DrayageError } from '../errors.ts';
import type { MigrationEvent } from '../migration/events.ts';
import type { AgentClient } from './agent-client.ts';
import type { Cli, Output } from './context.ts';
import { programOf, runProgram } from './program.ts';
import { look } from './report/style.ts';

type Answer = (params: never, emit: (event: MigrationEvent) => void) => unknown;

export interface FakeOptions {
  /** By method; what is not there fails. */
  agent?: Record<string, Answer>;
  /** What the user answers; null for no terminal. */
  answer?: boolean | null;
  tty?: boolean;
}

export interface FakeRun {
  status: number;
  out: string;
  err: string;
  /** Methods that were called. */
  calls: string[];
  error?: DrayageError;
}

/** Runs a command line; `interrupt` in an answer's hands is the user's Ctrl-C. */
export class FakeTerminal {
  readonly #options: FakeOptions;
  readonly #interrupts = new Set<() => void>();

  constructor(options: FakeOptions = {}) {
    this.#options = options;
  }

  interrupt(): void {
    for (const listener of this.#interrupts) listener();
  }

  async run(...words: string[]): Promise<FakeRun> {
    const result: FakeRun = { status: 0, out: '', err: '', calls: [] };
    const cli: Cli = {
      version: '1.2.3',
      script: '/nowhere/main.mjs',
      controlDir: '/nowhere',
      out: this.#output((text) => {
        result.out += text;
      }),
      err: this.#output((text) => {
        result.err += text;
      }),
      connect: async () => this.#agent(result),
      keyboard: async () => null,
      stream: async () => new PassThrough(),
      pipes: { in: Readable.from([]), out: () => new PassThrough() },
      confirm: async () => this.#options.answer ?? null,
      onInterrupt: (listener) => {
        this.#interrupts.add(listener);
        return { [Symbol.dispose]: () => void this.#interrupts.delete(listener) };
      },
      untilTold: () => new AbortController().signal,
      exitWith: (status) => {
        result.status = status;
      },
      ownFiles: () => ({ directory: '/nowhere', node: '/nowhere', version: '1.2.3' }),
    };
    await runProgram(programOf(cli, new Command('lab')), cli, words).catch((error: unknown) => {
      result.error = DrayageError.from(error);
    });
    return result;
  }

  #output(add: (text: string) => void): Output {
    const write = (text: string | Buffer): void => add(text.toString());
    return { write, isTty: this.#options.tty ?? false, look: () => look({ colour: false, width: 80 }) };
  }

  #agent(result: FakeRun): AgentClient {
    const listeners = new Set<(event: MigrationEvent) => void>();
    const agent = {
      async call(method: string, params: never) {
        result.calls.push(method);
        const answer = this.answers[method];
        if (answer === undefined) throw new DrayageError('AGENT_PROTOCOL', `There is no method ${method}.`);
        return answer(params, (event) => {
          for (const listener of listeners) listener(event);
        });
      },
      answers: this.#options.agent ?? {},
      onNotification(_: string, listener: (event: MigrationEvent) => void) {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
      async [Symbol.asyncDispose]() {},
    };
    return agent as unknown as AgentClient;
  }
}
