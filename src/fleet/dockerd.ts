/** The Docker daemon as a process: which it is, which file it reads, and whether a reload would do harm. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { DrayageError } from '../errors.ts';

export interface Dockerd {
  pid: number;
  configFile: string;
}

export const DEFAULT_CONFIG_FILE = '/etc/docker/daemon.json';
const PID_FILE = '/var/run/docker.pid';

/**
 * @throws DrayageError SETUP_DOCKERD where it is not running, is no dockerd after all, or is started with flags that a
 * reload would lose.
 */
export async function findDockerd(pidFile = PID_FILE): Promise<Dockerd> {
  const text = await readFile(pidFile, 'utf8').catch((error: unknown) => {
    throw new DrayageError('SETUP_DOCKERD', `Docker's daemon does not seem to run: ${pidFile} cannot be read.`, {
      cause: error,
    });
  });
  const pid = Number(text.trim());
  const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  if (!Number.isInteger(pid) || pid <= 1 || comm.trim() !== 'dockerd') {
    throw new DrayageError('SETUP_DOCKERD', `Process ${text.trim()}, named in ${pidFile}, is not dockerd.`);
  }
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').filter((arg) => arg !== '');
  return { pid, configFile: configFileOf(argv) };
}

/**
 * Which file a daemon with these arguments reads.
 * @throws DrayageError SETUP_DOCKERD where runtimes are given as flags: what the file says replaces them on a reload.
 */
export function configFileOf(argv: readonly string[]): string {
  if (flag(argv, 'add-runtime') !== undefined) {
    throw new DrayageError('SETUP_DOCKERD', `${basename(argv[0] ?? 'dockerd')} is started with --add-runtime.`, {
      meaning: 'A reload would make it forget the runtimes that are given on its command line.',
      remedy: 'Move them into "runtimes" of daemon.json, restart Docker when it suits you, then repeat the command.',
    });
  }
  return flag(argv, 'config-file') ?? DEFAULT_CONFIG_FILE;
}

function flag(argv: readonly string[], name: string): string | undefined {
  const at = argv.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  const arg = argv[at];
  if (arg === undefined) return undefined;
  return arg.includes('=') ? arg.slice(arg.indexOf('=') + 1) : (argv[at + 1] ?? '');
}
