/**
 * GNU tar, for trees of files as they are: owners, ACLs, extended attributes, hard links, holes, devices and fifos.
 * Sockets it leaves out (tar has no word for them); a program that listens on one makes it anew on restore.
 */
import { DrayageError } from '../errors.ts';
import { type Started, start } from '../exec/run.ts';
import { OVERLAY_NOTES } from './rsync.ts';

const WHOLE = ['--format=posix', '--numeric-owner', '--acls', '--xattrs', '--xattrs-include=*', '--sparse'];
/** Exit status where files changed or vanished while they were read: tar(1), RETURN VALUE. */
const CHANGED = 1;
/** A disk that gets full in the middle of a block is only told by what was not written. */
const FULL = /No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes/;

export interface Packing {
  root: string;
  /** Of all in `root`, only what is named on standard input, each name ended by a zero byte; default all. */
  listed?: boolean;
  /** Where the names of what was packed, or unpacked, go, one a line, as `readIndex` takes them. */
  index?: string;
  signal?: AbortSignal | undefined;
}

/** Its standard output is the tar. */
export function startPacking({ root, listed = false, index, signal }: Packing): Started {
  const notes = OVERLAY_NOTES.map((note) => `--xattrs-exclude=trusted.overlay.${note}`);
  const what = listed ? ['--null', '--verbatim-files-from', '--no-recursion', '--files-from=-'] : ['.'];
  const args = ['--create', '--file=-', `--directory=${root}`, ...WHOLE, ...notes, ...told(index), ...what];
  return start('tar', args, options(signal));
}

/**
 * Its standard input is the tar. Where that is not one's own, `root` must be empty: tar follows links that are there,
 * also to the files that hard links are to be to. Those that it makes itself it puts in place only at the end (GNU tar
 * manual, "Security rules of thumb").
 */
export function startUnpacking({ root, index, signal }: Pick<Packing, 'root' | 'index' | 'signal'>): Started {
  const exact = ['--same-permissions', '--same-owner', '--delay-directory-restore'];
  const [, ...attributes] = WHOLE.filter((option) => option !== '--sparse');
  const args = ['--extract', '--file=-', `--directory=${root}`, ...attributes, ...exact, ...told(index)];
  return start('tar', args, options(signal));
}

/**
 * @returns whether files changed while they were read.
 * @throws DrayageError FILES_TRANSFER, or FILES_NO_SPACE where the disk is full.
 */
export function packingOutcome(
  what: string,
  { code, error, stderr }: { code: number | null; error?: Error | undefined; stderr: string },
): 'complete' | 'raced' {
  if (code === 0) return 'complete';
  if (code === CHANGED && error === undefined) return 'raced';
  const [line] = stderr.split('\n').filter((text) => text !== '' && !/socket ignored$/.test(text));
  const reason = error?.message ?? line ?? (code === null ? 'it was ended by a signal' : `exit status ${code}`);
  const isFull = FULL.test(stderr);
  const message = `The files of ${what} did not arrive: ${reason}`;
  throw new DrayageError(isFull ? 'FILES_NO_SPACE' : 'FILES_TRANSFER', message, { cause: stderr });
}

/** Names as bytes (latin1), relative to the root, from what `--index-file` holds with `--quoting-style=escape`. */
export function readIndex(text: string): Set<string> {
  const lines = text.split('\n').filter((line) => line !== '');
  return new Set(
    lines.map((line) =>
      unquoted(line)
        .replace(/^\.\/?/, '')
        .replace(/\/$/, ''),
    ),
  );
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', b: '\b', r: '\r', f: '\f', v: '\v', a: '\x07' };

function unquoted(line: string): string {
  return line.replace(/\\([0-7]{3}|.)/g, (_, code: string) => {
    return /^[0-7]{3}$/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code);
  });
}

function told(index: string | undefined): string[] {
  return index === undefined ? [] : ['--verbose', '--quoting-style=escape', `--index-file=${index}`];
}

function options(signal: AbortSignal | undefined) {
  return { env: { LC_ALL: 'C' }, ...(signal === undefined ? {} : { signal }) };
}
