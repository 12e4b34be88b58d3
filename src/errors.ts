/**
 * The closed table of everything that can go wrong for a user. `docs/errors.md` and the exit statuses are made from
 * it; a test holds them equal. `meaning` and `remedy` may be made more precise where an error is raised.
 */
export const ERRORS = {
  USAGE: { exit: 2, meaning: 'The command line is not one that drayage understands.', remedy: 'See drayage --help.' },
  INTERNAL: {
    exit: 70,
    meaning: 'drayage itself failed: this is a bug. Nothing that was running was stopped by it.',
    remedy: 'Please report it with the output of drayage show ID.',
  },
  CANCELLED: {
    exit: 130,
    meaning: 'The operation was asked to stop. Before the commit point that is an undo.',
    remedy: 'Nothing is to be done; run the command again when you like.',
  },
} as const satisfies Record<string, ErrorEntry>;

interface ErrorEntry {
  /** Exit status of the command line program. */
  exit: number;
  /** What it means for the user's workload. */
  meaning: string;
  /** What to do about it. */
  remedy: string;
}

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetail {
  meaning?: string;
  remedy?: string;
  cause?: unknown;
}

/** The one error class: what happened (`message`), what it means, what to do, and a code from the closed table. */
export class DrayageError extends Error {
  readonly code: ErrorCode;
  readonly meaning: string;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'DrayageError';
    this.code = code;
    this.meaning = detail.meaning ?? ERRORS[code].meaning;
    this.remedy = detail.remedy ?? ERRORS[code].remedy;
  }

  /** Anything thrown, as a DrayageError; total, so the top level needs no second case. */
  static from(thrown: unknown): DrayageError {
    if (thrown instanceof DrayageError) return thrown;
    if (thrown instanceof Error && thrown.name === 'AbortError') {
      return new DrayageError('CANCELLED', 'Cancelled.', { cause: thrown });
    }
    return new DrayageError('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
  }

  /** As it travels between agents and into JSON output. */
  toJSON(): SerializedError {
    return { code: this.code, message: this.message, meaning: this.meaning, remedy: this.remedy };
  }
}

export interface SerializedError {
  code: string;
  message: string;
  meaning: string;
  remedy: string;
}
