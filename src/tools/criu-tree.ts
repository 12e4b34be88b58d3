/** CRIU on a tree of processes that no engine keeps: its own command line. */
import { join } from 'node:path';
import type { Run } from '../exec/run.ts';
import { Checkpoint } from './checkpoint.ts';

export interface TreeDumpOptions {
  run: Run;
  criuPath: string;
  /** The process at the top. */
  pid: number;
  /** Where CRIU writes its images and logs; must exist. */
  imagesDir: string;
  workDir: string;
  criuConfig: string;
  /** Must exist. */
  binDir: string;
  /** Holds the tree and nothing else. */
  cgroupPath: string;
  /** Of the terminal that its session leader, within the tree, has: see TerminalFacts. */
  externalTerminal: string | undefined;
}

/** Begins a dump of a tree; see Checkpoint. */
export function beginTreeDump(options: TreeDumpOptions): Promise<Checkpoint> {
  const { run, criuPath, workDir, binDir, criuConfig } = options;
  const start = async (signal: AbortSignal): Promise<void> => {
    await run(join(binDir, 'criu'), treeDumpArgs(options), { env: { CRIU_CONFIG_FILE: criuConfig }, signal });
  };
  return Checkpoint.begin({ run, criuPath, workDir, binDir, isDump: '[ "$1" = dump ]', start });
}

/** Pure. Cgroups are not CRIU's to save: the one of drayage's own is not that of the copy. */
function treeDumpArgs({ pid, imagesDir, workDir, cgroupPath, externalTerminal }: TreeDumpOptions): string[] {
  return [
    ...['dump', '--tree', `${pid}`, '--images-dir', imagesDir, '--work-dir', workDir, '--log-file', 'dump.log'],
    ...['--leave-running', '--freeze-cgroup', cgroupPath, '--manage-cgroups=ignore'],
    ...[...COMMON, ...(externalTerminal === undefined ? [] : ['--external', externalTerminal])],
  ];
}

export interface TreeRestoreOptions {
  imagesDir: string;
  workDir: string;
  externalTerminal: string | undefined;
  /** Goes on as the parent of the tree until that has ended: the terminal's session leader is above it. */
  stays: boolean;
}

/** Pure. */
export function treeRestoreArgs({ imagesDir, workDir, externalTerminal, stays }: TreeRestoreOptions): string[] {
  return [
    ...['restore', '--images-dir', imagesDir, '--work-dir', workDir, '--log-file', 'restore.log'],
    ...['--manage-cgroups=ignore', ...COMMON, ...(stays ? [] : ['--restore-detached'])],
    ...(externalTerminal === undefined ? [] : ['--inherit-fd', `fd[${TERMINAL_FD}]:${externalTerminal}`]),
  ];
}

/** Where CRIU finds the terminal; it closes what it takes, and needs its standard input as well. */
export const TERMINAL_FD = 3;

/** A session whose leader is outside of the tree becomes that of the CRIU that restores it. */
const COMMON = ['--shell-job', '--file-locks', '--tcp-established'];
