/** CRIU as a program: where it is, whether it works here, what its logs mean, and the CPU comparison between hosts. */
import type { Run } from '../exec/run.ts';

export interface CriuFacts {
  version: string;
  /** `ok`, or the first error that `criu check` named. */
  check: string;
  path: string;
}

/** What is known of the CRIU of this host; null where there is none. */
export async function surveyCriu(_run: Run, _options: { signal: AbortSignal }): Promise<CriuFacts | null> {
  return null;
}

/** Why CRIU failed, in words. */
export interface CriuFailure {
  /** The error line itself, without time and pid. */
  line: string;
  meaning: string;
  remedy: string;
}

/** The first `Error (` line of dump.log or restore.log, explained; undefined where the log holds none. */
export function firstError(_logText: string): CriuFailure | undefined {
  return undefined;
}

/** What an error line of CRIU means and what to do about it; unknown ones get a general answer. */
export function explain(_errorLine: string): { meaning: string; remedy: string } {
  return { meaning: '', remedy: '' };
}

/** Writes this host's CPU description (cpuinfo.img) into `directory`, for `cpuinfoCheck` on another host. */
export async function cpuinfoDump(_run: Run, _directory: string, _options: { signal: AbortSignal }): Promise<void> {}

/** Compares the cpuinfo.img in `directory` with this host's CPU: undefined where what ran there can run here. */
export async function cpuinfoCheck(
  _run: Run,
  _directory: string,
  _options: { signal: AbortSignal },
): Promise<CriuFailure | undefined> {
  return undefined;
}
