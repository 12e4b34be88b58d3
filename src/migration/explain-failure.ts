import { DrayageError, type ErrorCode } from '../errors.ts';
import { firstError } from '../tools/criu.ts';

/**
 * The error of a dump or restore, with the first line of CRIU's log that says why, and what it means: never just
 * `criu failed: type NOTIFY errno 0`.
 */
export function explainFailure(code: ErrorCode, what: string, log: string, cause: Error | undefined): DrayageError {
  const failure = firstError(log);
  if (failure === undefined || (VETO.test(failure.line) && cause !== undefined))
    return new DrayageError(code, cause === undefined ? `${what}.` : `${what}: ${cause.message}`, { cause });
  return new DrayageError(code, `${what}: ${failure.line}`, {
    meaning: failure.meaning,
    remedy: failure.remedy,
    cause,
  });
}

/** The end of drayage's own action script after an abort: whoever gave up first, the engine as a rule, says why. */
const VETO = /^exited, status=1$/;
