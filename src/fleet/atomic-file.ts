/** Files that are either the old or the new one at any time, also after a power cut. */
import { chmod, chown, open, readFile, realpath, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** null where there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Keeps owner and mode of what was there; follows a symbolic link and replaces what it names. */
export async function writeAtomically(path: string, text: string, mode = 0o644): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const before = await stat(target).catch(() => null);
  const temporary = `${target}.${process.pid}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await chmod(temporary, before === null ? mode : before.mode & 0o7777);
  if (before !== null) await chown(temporary, before.uid, before.gid);
  await rename(temporary, target);
  await syncDirectory(dirname(target));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
