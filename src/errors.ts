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
  LAB_NEEDS_ROOT: {
    exit: 77,
    meaning: 'The lab makes namespaces, mounts and network interfaces, which only root may.',
    remedy: 'Run the command as root, for instance with sudo.',
  },
  LAB_NEEDS_PACKAGES: {
    exit: 69,
    meaning: 'The lab needs programs that are not installed, and they could not be installed by apt.',
    remedy: 'Install the named packages, then run the command again.',
  },
  LAB_NO_MIRROR: {
    exit: 78,
    meaning: 'Lab hosts and images are built from Debian packages, and no mirror is known to fetch them from.',
    remedy: 'Set DRAYAGE_DEBIAN_MIRROR to the address of a Debian mirror (http://.../debian).',
  },
  LAB_BUILD_FAILED: {
    exit: 69,
    meaning: "A lab's root file system or image could not be built. Nothing half-built is kept.",
    remedy: 'See the named log; most often the Debian mirror cannot be reached.',
  },
  LAB_EXISTS: {
    exit: 73,
    meaning: 'A lab of that name is up already.',
    remedy: 'Use it, take another --name, or take it down: drayage lab down --name NAME.',
  },
  LAB_BUSY: {
    exit: 75,
    meaning: 'The lab is being made or taken down by another process, or no network is free for one more.',
    remedy: 'Wait for the other process to end, then run the command again.',
  },
  LAB_NOT_FOUND: {
    exit: 66,
    meaning: 'There is no lab, lab host or lab image of that name.',
    remedy: 'See what there is: drayage lab ls.',
  },
  LAB_BOOT_FAILED: {
    exit: 70,
    meaning: 'A lab host did not come up. What was made of the lab has been removed again.',
    remedy: 'See the log lines above; a lab needs overlayfs, namespaces and nftables in the kernel.',
  },
  DOCKER_UNREACHABLE: {
    exit: 69,
    meaning: "Docker's daemon is not running or its socket cannot be reached. Containers go on as they are.",
    remedy: 'See that docker version answers on that host, then run the command again.',
  },
  DOCKER_TOO_OLD: {
    exit: 69,
    meaning: 'drayage needs Docker 24 or newer on both hosts.',
    remedy: 'Update Docker on that host.',
  },
  DOCKER_NOT_FOUND: {
    exit: 66,
    meaning: 'Docker knows no container, image, network or volume of that name.',
    remedy: 'See what there is, for instance with docker ps -a.',
  },
  DOCKER_REFUSED: {
    exit: 69,
    meaning: 'Docker refused what was asked of it, for the reason that it gives.',
    remedy: "Remove the reason, then run the command again; the daemon's own log tells more.",
  },
  WORKLOAD_UNKNOWN: {
    exit: 66,
    meaning: 'There is no container of that name or id on this host.',
    remedy: 'See what there is: drayage ps.',
  },
  WORKLOAD_AMBIGUOUS: {
    exit: 65,
    meaning: 'More than one container has an id that begins so.',
    remedy: 'Give the name or more of the id.',
  },
  JOURNAL_CORRUPT: {
    exit: 74,
    meaning:
      'The journal of a migration cannot be read: the file was changed or the disk is at fault. Other migrations are not concerned.',
    remedy: 'Restore the named file from a backup, or move it away once you know on which host the workload runs.',
  },
  JOURNAL_WRITE: {
    exit: 74,
    meaning: 'The journal cannot be written, and nothing is done that is not in the journal first.',
    remedy: 'Look at the disk that holds /var/lib/drayage: most often it is full or mounted read-only.',
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
