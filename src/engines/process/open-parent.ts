/**
 * The way to a file that root is to put in place on a host where others have directories of their own. Those could lead
 * it anywhere by a symbolic link, also one that they make while it is on its way.
 */
import { readlinkSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path/posix';
import { DrayageError } from '../../errors.ts';
import { type BytePath, fromText } from '../../files/byte-path.ts';
import { Inside } from '../../files/inside.ts';

export interface Parent extends Disposable {
  /** The lowest directory on the way that is there. */
  directory: Inside;
  /** Names of those below it that are not. */
  missing: BytePath[];
}

/** As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h). */
const MOST_LINKS = 40;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Follows a link only where root alone can have made it, as with /lib: every directory that leads to it is root's.
 * @throws DrayageError FILE_DIFFERS where another link, or what is no directory, stands in the way
 */
export function openParent(path: string): Parent {
  const way = fromText(dirname(path));
  let missing = namesOf(way);
  let here = Inside.open('/');
  let [at, isRoots, links] = ['/', true, 0];
  try {
    for (let name = missing[0]; name !== undefined; name = missing[0]) {
      const stats = here.lstat(name);
      if (stats === undefined) break;
      const isLink = stats.isSymbolicLink();
      const { uid, mode } = here.stats;
      isRoots &&= uid === 0 && (mode & WRITABLE_BY_OTHERS) === 0;
      if (isLink && (!isRoots || stats.uid !== 0 || ++links > MOST_LINKS)) throw inTheWay(path);
      if (isLink) {
        const to = resolve(at, readlinkSync(here.at(name), 'latin1'));
        missing = [...namesOf(to), ...missing.slice(1)];
      } else missing = missing.slice(1);
      const next = isLink ? Inside.open('/') : here.child(name);
      if (next === undefined) throw inTheWay(path);
      [at, isRoots] = isLink ? ['/', true] : [resolve(at, name), isRoots];
      here[Symbol.dispose]();
      here = next;
    }
  } catch (error) {
    here[Symbol.dispose]();
    throw error;
  }
  return { directory: here, missing, [Symbol.dispose]: () => here[Symbol.dispose]() };
}

/** In the directory that it is in, whatever the way there means by now; undefined where that is not there. */
export function atPlace<T>(path: string, work: (there: string | Buffer, directory: Inside) => T): T | undefined {
  using parent = openParent(path);
  return parent.missing.length > 0 ? undefined : work(parent.directory.at(nameOf(path)), parent.directory);
}

export function nameOf(path: string): BytePath {
  return fromText(basename(path));
}

function namesOf(path: string): BytePath[] {
  return path.split('/').filter((name) => name !== '');
}

function inTheWay(path: string): DrayageError {
  return new DrayageError('FILE_DIFFERS', `The target has a link or a file in the way to ${path}.`, {
    remedy: "Look at the directories that lead to it on the target; links are followed only where they are root's.",
  });
}
