/** A POSIX shell on another host, over the system's ssh. */
import { mkdir } from 'node:fs/promises';
import { ProgramError } from '../exec/run.ts';
import { parseDestination, sshArguments, sshFailure } from '../tools/ssh.ts';
import { runScript, type Shell } from './shell.ts';

/**
 * @param destination as users write it
 * @param controlDir holds the socket by which all scripts share one session; made where it is missing
 * @throws DrayageError USAGE; its `run` also HOST_UNREACHABLE, HOST_KEY_CHANGED, HOST_KEY_UNKNOWN, HOST_AUTH
 */
export function remoteShell(destination: string, controlDir: string): Shell {
  const host = parseDestination(destination);
  return {
    async run(script, args, options) {
      await mkdir(controlDir, { recursive: true, mode: 0o700 });
      const command = ['sh', '-c', quote(script), 'drayage', ...args.map(quote)];
      try {
        return await runScript('ssh', sshArguments(host, command, { controlDir }), options);
      } catch (error) {
        // 255 and no status at all are ssh's own; every other one is the script's.
        if (!(error instanceof ProgramError) || (error.exitCode !== null && error.exitCode !== 255)) throw error;
        throw sshFailure(host, error.exitCode, error.stderr === '' ? error.message : error.stderr);
      }
    },
  };
}

/** As one word of a POSIX shell: ssh joins its arguments by spaces and has the login shell there read them. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
