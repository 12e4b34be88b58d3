/** CRIU as a program: where it is, whether it works here, what its logs mean, and the CPU comparison between hosts. */
import { ProgramError, type Run } from '../exec/run.ts';
import { type Explanation, explain } from './criu-errors.ts';
import { findProgram } from './find-program.ts';

export interface CriuFacts {
  version: string;
  /** `ok`, or the first error that `criu check` named. */
  check: 'ok' | string;
  path: string;
}

export interface CriuOptions {
  signal: AbortSignal;
  /** Default: the one that is found. */
  criuPath?: string;
}

/** Why CRIU failed, in words. */
export interface CriuFailure extends Explanation {
  /** The error line itself, without time, pid and place in the source. */
  line: string;
}

export { explain };

/**
 * What is known of the CRIU of this host; null where there is none. Nothing is remembered: `criu check` takes 6 to 25 ms,
 * since CRIU itself keeps what it found out of the kernel (/run/criu.kdat).
 */
export async function surveyCriu(run: Run, { signal, criuPath }: CriuOptions): Promise<CriuFacts | null> {
  const path = criuPath ?? (await findProgram('criu'));
  if (path === undefined) return null;
  const [version, check] = await Promise.all([versionOf(run, path, signal), checkOf(run, path, signal)]);
  return { version, check, path };
}

/** The first `Error (` line of dump.log or restore.log that matters, explained; undefined where the log holds none. */
export function firstError(logText: string): CriuFailure | undefined {
  for (const line of logText.split('\n')) {
    const text = /\bError \([^)]*\): ?(.*)$/.exec(line)?.[1]?.trim();
    if (text !== undefined && !HARMLESS.some((pattern) => pattern.test(text))) return { line: text, ...explain(text) };
  }
  return undefined;
}

/** Writes this host's CPU description (cpuinfo.img) into `directory`, for `cpuinfoCheck` on another host. */
export async function cpuinfoDump(run: Run, directory: string, options: CriuOptions): Promise<void> {
  await run(options.criuPath ?? 'criu', ['cpuinfo', 'dump', '--images-dir', directory], { signal: options.signal });
}

/**
 * Compares the cpuinfo.img in `directory` with this host's CPU: undefined where what ran there can run here. CRIU
 * compares the layout of floating point state and all instruction sets, whether the workload uses them or not.
 */
export async function cpuinfoCheck(
  run: Run,
  directory: string,
  options: CriuOptions,
): Promise<CriuFailure | undefined> {
  const args = ['cpuinfo', 'check', '--images-dir', directory];
  const { code, stdout, stderr } = await run(options.criuPath ?? 'criu', args, {
    signal: options.signal,
    okCodes: [0, 1],
  });
  if (code === 0) return undefined;
  return (
    firstError(stdout + stderr) ?? { line: lastLine(stdout + stderr), ...explain('CPU capabilities do not match') }
  );
}

/**
 * Said without harm: raising limits without CAP_SYS_RESOURCE, kinds of sockets that the kernel does not know, and what
 * `criu check` itself calls not fatal.
 */
const HARMLESS = [/Can't setup RLIMIT_NOFILE/, /ERROR -\d+ reported by netlink/, /This is not fatal/];

async function versionOf(run: Run, path: string, signal: AbortSignal): Promise<string> {
  // One that cannot even say its version is told of by its check.
  const { stdout } = await run(path, ['--version'], { signal, timeoutMs: 10_000 }).catch(orNoOutput);
  return parseVersion(stdout);
}

/** `Version: 4.2.1`, and a second line with the commit where it was built from git. */
export function parseVersion(text: string): string {
  return /^Version: (\S+)/m.exec(text)?.[1] ?? '0';
}

/** Only what every dump needs is checked, not `--all`. */
async function checkOf(run: Run, path: string, signal: AbortSignal): Promise<string> {
  try {
    // Not ended by the caller's signal: a CRIU that is killed while it tries the kernel leaves a child for ever.
    await run(path, ['check'], { timeoutMs: 20_000 });
    signal.throwIfAborted();
    return 'ok';
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const output = error.stderr + error.stdout;
    return firstError(output)?.line ?? (lastLine(output) || error.message);
  }
}

function orNoOutput(error: unknown): { stdout: string } {
  if (error instanceof ProgramError) return { stdout: '' };
  throw error;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
