/** Where a program is, without a shell and whatever PATH a service was started with. */
import { access, constants } from 'node:fs/promises';

export const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

/** Its absolute path; undefined where there is none. */
export async function findProgram(name: string): Promise<string | undefined> {
  const paths = DIRECTORIES.map((directory) => `${directory}/${name}`);
  const there = await Promise.all(paths.map(isExecutable));
  return paths.find((_, index) => there[index]);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
