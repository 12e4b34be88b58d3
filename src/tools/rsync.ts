/**
 * rsync, over a stream that somebody else provides.
 *
 * The receiving end is rsync's daemon on its standard input, which shuts itself up in its working directory by
 * chroot(2) before it obeys: a sender can name what it likes (`..`, absolute paths, symbolic links that it made itself
 * a moment before) and stays inside. It names no path of the host to the receiver either: there is one module, and its
 * path is the working directory. Options beyond those below are refused by the daemon (rsyncd.conf(5), `refuse
 * options`; patterns and negation need rsync 3.2).
 *
 * The sending end starts a "remote shell", which here connects rsync's socket pair to descriptors 3 and 4: the
 * standard input and output that rsync itself was started with. It ends at once and leaves that to two cats, because
 * rsync waits for its remote shell in steps of 20 ms (wait_process_with_flush in main.c). Nothing is lost by it: the
 * sender ends after the receiver's goodbye, and the receiver sends that when everything, times of directories
 * included, is in place (do_recv in main.c).
 */
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DrayageError } from '../errors.ts';
import { ProgramError, type Run, type Started, start } from '../exec/run.ts';

/**
 * All that makes a file what it is: ACLs, xattrs, hard links, holes; numeric owners; devices, fifos and sockets. By
 * default rsync takes times for equal that are in the same second, and leaves it to a remote shell to carry what goes
 * wrong at the other end: text and exit status.
 */
const WHOLE = ['-aHAXS', '--numeric-ids', '--force', '--modify-window=-1', '--stderr=client'] as const;

const REMOTE_SHELL = "sh -c 'exec 5<&0; cat <&3 4>&- 5>&- 2>/dev/null & cat <&5 >&4 3>&- 2>/dev/null & exit 0'";
const SENDER = 'exec rsync "$@" 3<&0 4>&1 0</dev/null 1>&2';

/**
 * What overlayfs notes about a directory or file of the upper layer that holds only on the host where it was noted:
 * handles and counts of the lower files there (fs/overlayfs/overlayfs.h). A handle that means another file on the
 * target is an I/O error there.
 */
export const OVERLAY_NOTES = ['origin', 'impure', 'nlink', 'upper', 'uuid'];

const RSYNCD_CONF = `
use chroot = yes
uid = 0
gid = 0
numeric ids = yes
munge symlinks = no
reverse lookup = no
log file = /dev/null
[tree]
path = /proc/self/cwd
list = no
read only = no
write only = yes
refuse options = * !a !r !l !p !t !g !o !D !devices !specials !H !A !X !S !R !d !I !delete !delete-* !force !numeric-ids !modify-window !no-msgs2stderr !log-format !inc-recursive
`;

/** rsync's exit status where files vanished while it read them: rsync(1), EXIT VALUES. */
const VANISHED = 24;
const PARTIAL = 23;

/** A root that is named brings all that is in it along. */
const ROOT_ONLY = ['--filter=- /*'];

export type Transfer =
  /** All of a directory; what is in the target and not in it is deleted. */
  | { kind: 'whole'; root: string; overlay: boolean }
  /**
   * Only the paths that are read from `list`, each ended by a zero byte and sent whatever its time and size. With
   * `rootOnly` the root itself can be named, and nothing below it.
   */
  | { kind: 'listed'; root: string; overlay: boolean; list: string; rootOnly?: boolean }
  /** One file, which is not a directory; `file` in the target's directory. */
  | { kind: 'file'; path: string };

export function senderArgs(transfer: Transfer): string[] {
  const wire = ['-e', REMOTE_SHELL];
  switch (transfer.kind) {
    case 'whole':
      return [...WHOLE, '--delete', ...filters(transfer), ...wire, '--', `${transfer.root}/`, 'drayage::tree/'];
    case 'listed': {
      const list = ['--ignore-times', '--from0', `--files-from=${transfer.list}`];
      const below = transfer.rootOnly === true ? ROOT_ONLY : [];
      return [...WHOLE, ...list, ...below, ...filters(transfer), ...wire, '--', `${transfer.root}/`, 'drayage::tree/'];
    }
    case 'file':
      return [...WHOLE, '--ignore-times', ...wire, '--', transfer.path, 'drayage::tree/file'];
  }
}

/** A filter for xattrs replaces rsync's own, which leaves out system.* (ACLs go by -A). */
function filters({ overlay }: { overlay: boolean }): string[] {
  if (!overlay) return [];
  const names = ['system.*', ...OVERLAY_NOTES.map((note) => `trusted.overlay.${note}`)];
  return names.map((name) => `--filter=-x ${name}`);
}

/** A sender whose standard input and output are the stream to the receiver; what it has to say is on stderr. */
export function startSender(transfer: Transfer, signal?: AbortSignal): Started {
  return start('sh', ['-c', SENDER, 'rsync', ...senderArgs(transfer)], {
    env: { LC_ALL: 'C' },
    ...(signal === undefined ? {} : { signal }),
  });
}

/**
 * A receiver that is confined to `directory`; its standard input and output are the stream to the sender.
 * @param workDir for a file of configuration, until the receiver has read it. rsync 3.5 takes none from a descriptor: it
 * resolves every link of the path by itself, one of /proc included.
 */
export function startReceiver(directory: string, workDir: string, signal?: AbortSignal): Started {
  const config = join(workDir, `rsyncd-${randomUUID()}.conf`);
  writeFileSync(config, RSYNCD_CONF, { mode: 0o600, flag: 'wx' });
  const receiver = start('rsync', ['--server', '--daemon', `--config=${config}`, '.'], {
    cwd: directory,
    env: { LC_ALL: 'C' },
    ...(signal === undefined ? {} : { signal }),
  });
  const remove = (): void => rmSync(config, { force: true });
  receiver.stdout.once('data', remove); // Its greeting: the file has been read.
  void receiver.exited.then(remove);
  return receiver;
}

/**
 * Gives directories the extended attributes that those of the same paths have elsewhere on this host, and no others.
 * Only directories must lead to them on both sides: rsync, when it copies from disk to disk, is not confined.
 * @param paths one character a byte (latin1); the root always is one of them.
 * @throws DrayageError FILES_TRANSFER
 */
export async function copyDirectoryXattrs(run: Run, from: string, to: string, paths: Iterable<string>): Promise<void> {
  const below = [...paths].filter((path) => path !== '');
  const options = ['--xattrs', '--dirs', '--no-implied-dirs', '--from0', '--files-from=-'];
  try {
    for (const [names, filters] of [
      [below, []],
      [[''], ROOT_ONLY],
    ] as const) {
      const input = Buffer.from(names.map((path) => `./${path}\0`).join(''), 'latin1');
      await run('rsync', [...options, ...filters, '--', `${from}/`, `${to}/`], { input });
    }
  } catch (error) {
    if (error instanceof ProgramError) transferOutcome(to, { code: error.exitCode, stderr: error.stderr });
    throw error;
  }
}

export type TransferOutcome = 'complete' | 'raced';

/**
 * What a sender's end means: `raced` where all that went wrong is that files changed or vanished while they were read.
 * @throws DrayageError FILES_TRANSFER, or FILES_NO_SPACE where the target's disk is full.
 */
export function transferOutcome(
  what: string,
  { code, stderr }: { code: number | null; stderr: string },
): TransferOutcome {
  if (code === 0) return 'complete';
  const complaints = stderr.split('\n').filter((line) => line !== '' && !/^(WARNING|rsync warning):/.test(line));
  const [first] = complaints;
  if (code === VANISHED || (code === PARTIAL && complaints.every(isRace))) return 'raced';
  const reason = first ?? (code === null ? 'it was ended by a signal' : `exit status ${code}`);
  const isFull = /No space left on device|Disk quota exceeded/.test(stderr);
  throw new DrayageError(
    isFull ? 'FILES_NO_SPACE' : 'FILES_TRANSFER',
    `The files of ${what} did not arrive: ${reason}`,
    {
      cause: stderr,
    },
  );
}

/** ENOENT, ENXIO, ENOTDIR, EISDIR, ELOOP, ENODATA: gone, shorter, or something else by the time that it was read. */
const RACE_ERRNO = '2|6|20|21|40|61';

/** Only of the sender's side: what vanishes on the target is somebody else's doing. */
function isRace(line: string): boolean {
  return (
    /^(file has vanished|directory has vanished|IO error encountered -- skipping file deletion)/.test(line) ||
    /^ERROR: .* failed verification/.test(line) ||
    new RegExp(`^rsync: \\[sender\\] .*\\((${RACE_ERRNO})\\)$`).test(line) ||
    /^rsync error: some files/.test(line)
  );
}
