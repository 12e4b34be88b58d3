/** The only importer of child_process: starts outside programs, with argument arrays, never through a shell. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

export interface RunOptions {
  signal?: AbortSignal;
  /** Written to the program's standard input, which is then closed. */
  input?: string | Buffer;
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Killed after this many milliseconds. */
  timeoutMs?: number;
  /** Exit statuses that are not failures; default only 0. */
  okCodes?: readonly number[];
  /** Files or descriptors for further stdio slots, from 3 on. */
  extraStdio?: readonly number[];
}

export interface RunResult {
  stdout: string;
  stderr: string;
  code: number;
  /** Wall time in milliseconds. */
  ms: number;
}

/** A program that did not do its work: not found, non-zero exit status, killed or timed out. */
export class ProgramError extends Error {
  readonly program: string;
  /** null where it never started or was killed by a signal. */
  readonly exitCode: number | null;
  readonly stderr: string;
  readonly stdout: string;
  constructor(program: string, what: string, exitCode: number | null, stdout: string, stderr: string, cause?: unknown) {
    const last = stderr.trim().split('\n').slice(-3).join(' | ');
    super(`${program} ${what}${last === '' ? '' : `: ${last}`}`, cause === undefined ? undefined : { cause });
    this.name = 'ProgramError';
    this.program = program;
    this.exitCode = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** Told of every finished program: what ran and for how long, so that `drayage show` can give each its own line. */
export type ProgramRecorder = (program: string, startedAt: number, ms: number) => void;

/** Runs a program to its end. Tools take one of these, so that a caller decides what is recorded and cancelled. */
export type Run = (program: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;

const MAX_OUTPUT = 16 << 20;
const STREAMS_GRACE_MS = 1000;

/**
 * A `Run` that reports to `record` and is cancelled by `signal`.
 * @throws ProgramError where the program fails.
 */
export function runner(defaults: { signal?: AbortSignal; record?: ProgramRecorder } = {}): Run {
  return async (program, args, options = {}) => {
    const signals = [defaults.signal, options.signal].filter((s) => s !== undefined);
    if (options.timeoutMs !== undefined) signals.push(AbortSignal.timeout(options.timeoutMs));
    const startedAt = performance.now();
    const child = start(program, args, { ...options, signal: AbortSignal.any(signals) });
    child.stdin.on('error', () => {}); // A program may end before it has read its input; its status tells.
    child.stdin.end(options.input);
    // What a program leaves running may hold its streams open for ever: nothing more is waited for then.
    void child.ended.then(() => {
      setTimeout(() => [child.stdout, child.stderr].map((stream) => stream.destroy()), STREAMS_GRACE_MS).unref();
    });
    const [stdout, stderr, end] = await Promise.all([collect(child.stdout), collect(child.stderr), child.exited]);
    const ms = performance.now() - startedAt;
    defaults.record?.(program, startedAt, ms);
    for (const signal of signals) {
      if (signal.aborted && end.code !== 0) {
        if (signal.reason?.name !== 'TimeoutError') signal.throwIfAborted();
        throw new ProgramError(program, `did not end within ${options.timeoutMs} ms`, null, stdout, stderr);
      }
    }
    if (end.error !== undefined)
      throw new ProgramError(program, `cannot be started (${end.error.message})`, null, '', '', end.error);
    if (end.code === null) throw new ProgramError(program, `was ended by ${end.signal}`, null, stdout, stderr);
    if (!(options.okCodes ?? [0]).includes(end.code)) {
      throw new ProgramError(program, `failed with exit status ${end.code}`, end.code, stdout, stderr);
    }
    return { stdout, stderr, code: end.code, ms };
  };
}

export interface Started {
  pid: number | undefined;
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** The program itself has ended; its streams may still hold something. Never rejects. */
  ended: Promise<void>;
  /** It has ended, and its streams too. Never rejects. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }>;
  kill(signal?: NodeJS.Signals): void;
}

/** Starts a program and hands its streams over; for what is bridged or long-lived. */
export function start(
  program: string,
  args: readonly string[],
  options: Omit<RunOptions, 'input' | 'okCodes'> = {},
): Started {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env === undefined ? process.env : { ...process.env, ...options.env },
    signal: options.signal,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'pipe', 'pipe', ...(options.extraStdio ?? [])],
  }) as ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
  const exited = new Promise<Awaited<Started['exited']>>((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
  return {
    ended,
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    kill: (signal = 'SIGTERM') => void child.kill(signal),
  };
}

/** Starts a program that outlives this one: its own session, no streams; its output goes to `logFile` (a descriptor). */
export function startDetached(
  program: string,
  args: readonly string[],
  logFd: number,
  env: Record<string, string | undefined> = {},
): number | undefined {
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', logFd, logFd],
    env: { ...process.env, ...env },
  });
  child.on('error', () => {});
  child.unref();
  return child.pid;
}

/** Runs a program on the user's own terminal and resolves to its exit status. */
export function runOnTerminal(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += (chunk as Buffer).length;
      if (size <= MAX_OUTPUT) chunks.push(chunk as Buffer);
    }
  } catch {
    // Destroyed: what came so far is all there is.
  }
  return Buffer.concat(chunks).toString('utf8');
}
