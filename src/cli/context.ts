/** What every command is given: where to write, how to reach agents, and what it was started from. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { OwnFiles } from '../fleet/program.ts';
import type { AgentClient } from './agent-client.ts';
import type { Look } from './report/style.ts';

export interface Output {
  /** Colours and width as they are now. */
  look(): Look;
  isTty: boolean;
  write(text: string | Buffer): void;
}

export interface Keyboard extends AsyncDisposable {
  size(): { columns: number; rows: number };
  onKeys(listener: (keys: Buffer) => void): void;
  onResize(listener: (size: { columns: number; rows: number }) => void): void;
}

export interface Cli {
  /** Of drayage. */
  version: string;
  /** The file that runs: main.mjs, or src/main.ts. */
  script: string;
  /** Where ssh keeps the sockets of shared sessions. */
  controlDir: string;
  out: Output;
  err: Output;
  /**
   * The agent of this host, or of `host`.
   * @throws DrayageError where it cannot be reached
   */
  connect(host?: string): Promise<AgentClient>;
  /** A stream of bytes to an agent, beside the calls: see agent/archive-streams.ts. */
  stream(agent: AgentClient, purpose: 'archive-out' | 'archive-in', token: string): Promise<Duplex>;
  /** Standard input and output as bytes. */
  pipes: { in: Readable; out(): Writable };
  /** Asks on the terminal; null where there is none to ask on. */
  confirm(question: string): Promise<boolean | null>;
  /** Every key as it is pressed, Ctrl-C too, until disposed; null where there is no terminal. */
  keyboard(): Promise<Keyboard | null>;
  /** Calls back for every Ctrl-C until disposed; without it, Ctrl-C ends the program. */
  onInterrupt(listener: () => void): Disposable;
  /** Aborts when the program is told to end, by SIGTERM or Ctrl-C. */
  untilTold(): AbortSignal;
  /** The status that the program is to exit with. */
  exitWith(status: number): void;
  /** The files that this program runs from. @throws DrayageError SETUP_NO_PROGRAM */
  ownFiles(): OwnFiles;
}

/** One JSON document on one line. */
export function writeJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`);
}

export function writeJsonLines(output: Output, values: Iterable<unknown>): void {
  for (const value of values) writeJson(output, value);
}
