/** Random changes of a tree, as fast-check generates them, of every kind that a file system knows. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { runner } from '../../exec/run.ts';
import { parentOf, toFs } from '../byte-path.ts';
import { scratch } from './rig.ts';

const KINDS = [
  ...['write', 'append', 'overwrite quietly', 'sparse', 'mkdir', 'remove', 'rename', 'replace', 'link', 'symlink'],
  ...['chmod', 'chown', 'touch', 'xattr', 'acl', 'fifo', 'device', 'socket'],
] as const;

/** Their path, or the other one, gets the directories that it needs. */
const MAKING = new Set<string>(['write', 'sparse', 'mkdir', 'replace', 'symlink', 'fifo', 'device', 'socket']);
const MOVING = new Set<string>(['rename', 'link']);

export interface Mutation {
  kind: (typeof KINDS)[number];
  path: string;
  other: string;
  number: number;
}

const NAMES = ['a', 'b', '#c', ';d', 'new\nline', '\xff\xfe', 'sp ace', '-dash', 'host:x', '*[g]?', '.hid', 'ä'];
/** Lists of changes that meet each other: among few names, of which some are odd. */
export function mutations(lists: number): fc.Arbitrary<Mutation[][]> {
  return fc.shuffledSubarray(NAMES, { minLength: 2, maxLength: 4 }).chain((names) => {
    const path = fc
      .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
      .map((components) => components.join('/'));
    const kind = fc.constantFrom(...KINDS);
    const number = fc.integer({ min: 0, max: 9999 });
    const mutation = fc.record({ kind, path, other: path, number });
    return fc.array(fc.array(mutation, { maxLength: 25 }), { minLength: lists, maxLength: lists });
  });
}

/** What the file system refuses (no such directory, not empty, into itself) is not done. */
export async function mutate(root: string, steps: readonly Mutation[]): Promise<void> {
  for (const step of steps) {
    try {
      await apply(root, step);
    } catch (error) {
      if (
        !/^(E(EXIST|NOENT|ISDIR|NOTDIR|NOTEMPTY|INVAL|LOOP|PERM|NXIO|XDEV|BUSY)|ERR_FS)/.test(
          String((error as NodeJS.ErrnoException).code),
        )
      )
        throw error;
    }
  }
}

async function apply(root: string, { kind, path, other, number }: Mutation): Promise<void> {
  const at = toFs(`${root}/${path}`);
  const to = toFs(`${root}/${other}`);
  const run = runner();
  const isThere = existsSync(at);
  const isFile = isThere && lstatSync(at).isFile();
  const program = async (name: string, args: string[]): Promise<void> => {
    // Arguments are text; names that are not go without.
    if (typeof at === 'string') await run(name, args, { cwd: root, okCodes: [0, 1] });
  };
  if (MAKING.has(kind)) mkdirSync(toFs(`${root}/${parentOf(path)}`), { recursive: true });
  if (MOVING.has(kind)) mkdirSync(toFs(`${root}/${parentOf(other)}`), { recursive: true });
  switch (kind) {
    case 'write':
      if (!isThere || isFile) writeFileSync(at, `content ${number}`.repeat(number));
      return;
    case 'append':
      if (isFile) appendFileSync(at, `more ${number}`);
      return;
    case 'overwrite quietly': {
      // Size and time stay as they are, to the nanosecond.
      if (!isFile || typeof at !== 'string' || statSync(at).size === 0) return;
      using reference = scratch();
      await run('touch', ['-r', at, `${reference.path}/time`]);
      const fd = openSync(at, 'r+');
      writeSync(fd, String(number % 10), 0);
      closeSync(fd);
      await run('touch', ['-r', `${reference.path}/time`, at]);
      return;
    }
    case 'sparse': {
      if (isThere && !isFile) return;
      const fd = openSync(at, 'w');
      ftruncateSync(fd, 1 << 20);
      writeSync(fd, `${number}`, 300_000);
      closeSync(fd);
      return;
    }
    case 'mkdir':
      mkdirSync(at);
      return;
    case 'remove':
      rmSync(at, { recursive: true });
      return;
    case 'rename':
      renameSync(at, to);
      return;
    case 'replace': {
      // As package managers do: a new one takes the name of the old.
      const fresh = toFs(`${root}/fresh`);
      if (number % 2 === 0) mkdirSync(fresh);
      else writeFileSync(fresh, `fresh ${number}`);
      if (isThere) rmSync(at, { recursive: true });
      try {
        renameSync(fresh, at);
      } finally {
        rmSync(fresh, { recursive: true, force: true });
      }
      return;
    }
    case 'link':
      linkSync(at, to);
      return;
    case 'symlink':
      symlinkSync(number % 2 === 0 ? 'b' : '/etc/hostname', at);
      return;
    case 'chmod':
      if (isThere && !lstatSync(at).isSymbolicLink()) chmodSync(at, number % 0o10000);
      return;
    case 'chown':
      lchownSync(at, number, number + 1);
      return;
    case 'touch':
      if (isThere && !lstatSync(at).isSymbolicLink()) utimesSync(at, number, number + 0.123456);
      return;
    case 'xattr':
      return program('setfattr', [
        '-h',
        '-n',
        number % 2 === 0 ? 'user.x' : 'trusted.x',
        '-v',
        `${number}`,
        `./${path}`,
      ]);
    case 'acl':
      return program('setfacl', ['-m', `u:${number}:rwx`, `./${path}`]);
    case 'fifo':
      return program('mkfifo', [`./${path}`]);
    case 'device':
      return program('mknod', [`./${path}`, number % 2 === 0 ? 'c' : 'b', String(number % 256), String(number % 7)]);
    case 'socket': {
      if (isThere || typeof at !== 'string' || at.length > 100) return;
      const server = createServer().listen(at);
      await new Promise((resolve) => server.once('listening', resolve).once('error', resolve));
      // Closing would delete it: another name keeps it.
      if (existsSync(at)) renameSync(at, `${root}/kept`);
      await new Promise((resolve) => server.close(resolve));
      if (existsSync(`${root}/kept`)) renameSync(`${root}/kept`, at);
    }
  }
}
