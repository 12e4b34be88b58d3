import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { start } from '../exec/run.ts';
import { senderArgs } from '../tools/rsync.ts';
import { bridge } from './bridge.ts';
import { pruneTree, receiveTree } from './target.ts';
import { connection, scratch } from './testing/rig.ts';

interface Place extends Disposable {
  /** What a source may change. */
  root: string;
  /** What it must not. */
  outside: string;
  /** The source's own files. */
  from: string;
}

function place(): Place {
  const directory = scratch();
  const root = `${directory.path}/root`;
  const outside = `${directory.path}/outside`;
  const from = `${directory.path}/from`;
  for (const path of [root, outside, from]) mkdirSync(path);
  writeFileSync(`${outside}/precious`, 'precious');
  return { root, outside, from, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

/** A source that does not keep to the rules: any arguments of rsync, against a receiver in `root`. */
async function attack(root: string, args: readonly string[]): Promise<number | null> {
  return attackWith({ root }, args);
}

async function attackWith(
  options: { root: string; isFile?: boolean },
  args: readonly string[],
): Promise<number | null> {
  // Ends that do not understand each other may wait for each other.
  const signal = AbortSignal.timeout(3000);
  const [near, far] = await connection();
  const received = receiveTree({ ...options, stream: far, signal }).catch(() => {});
  const shell = senderArgs({ kind: 'file', path: '' });
  const rsh = shell[shell.indexOf('-e') + 1] as string;
  const script = 'exec rsync "$@" 3<&0 4>&1 0</dev/null 1>&2';
  const sender = start('sh', ['-c', script, 'rsync', '-e', rsh, ...args], { signal });
  sender.stderr.resume();
  bridge(near, sender);
  const { code } = await sender.exited;
  await received;
  return code;
}

test.each([
  [['-r', '--log-file=/x', '-M--log-file=/written']],
  [['-r', '-M--config=/etc/rsyncd.conf']],
  [['-r', '-M--daemon']],
  [['-r', '--temp-dir=/tmp']],
  [['-r', '--backup', '--backup-dir=/backup']],
  [['-r', '--link-dest=/']],
  [['-r', '--compare-dest=/']],
  [['-r', '--partial-dir=/partial']],
  [['-r', '-K']],
  [['-r', '--inplace']],
  [['-r', '-M--fake-super']],
  [['-r', '-M--write-batch=/written']],
  [['-r', '--remove-source-files', '-M--sender']],
  [['-r', '--chown=daemon:daemon']],
  [['-r', '--iconv=utf-8,latin1']],
  [['-r', '--debug=all4', '-M--debug=all4']],
])('a receiver refuses %j', async (options) => {
  using at = place();
  writeFileSync(`${at.from}/file`, 'x');
  expect(await attack(at.root, [...options, `${at.from}/`, 'x::tree/'])).not.toBe(0);
  expect(readdirSync(at.root)).toEqual([]);
});

test('a receiver gives nothing away', async () => {
  using at = place();
  writeFileSync(`${at.root}/secret`, 'x');
  expect(await attack(at.root, ['-r', 'x::tree/', `${at.from}/`])).not.toBe(0);
  expect(readdirSync(at.from)).toEqual([]);
});

test('a receiver has no other module and no directory but its own', async () => {
  using at = place();
  writeFileSync(`${at.from}/file`, 'x');
  for (const module of ['x::outside/', 'x::/etc/']) {
    expect(await attack(at.root, ['-r', `${at.from}/`, module])).not.toBe(0);
  }
  await attack(at.root, ['x::']);
  await attack(at.root, ['-r', `${at.from}/`, 'x::tree/../outside/']);
  await attack(at.root, ['-r', `${at.from}/`, `x::tree/${at.outside}/`]);
  expect(readdirSync(at.outside)).toEqual(['precious']);
});

test('a receiver starts no program', async () => {
  using at = place();
  // Not an option that rsync lets a daemon refuse: it carries the sender's capabilities.
  await attack(at.root, ['-r', `-M--rsh=touch ${at.outside}/written`, `${at.from}/`, 'x::tree/']);
  expect(readdirSync(at.outside)).toEqual(['precious']);
});

test('a symbolic link that the source has made leads nowhere', async () => {
  using at = place();
  symlinkSync('../outside', `${at.from}/relative`);
  symlinkSync(at.outside, `${at.from}/absolute`);
  expect(await attack(at.root, ['-a', `${at.from}/`, 'x::tree/'])).toBe(0);
  expect(lstatSync(`${at.root}/relative`).isSymbolicLink()).toBe(true);
  writeFileSync(`${at.from}/precious`, 'stolen');
  for (const link of ['relative', 'absolute']) {
    await attack(at.root, [`${at.from}/precious`, `x::tree/${link}/`]);
    await attack(at.root, [`${at.from}/precious`, `x::tree/${link}/precious`]);
  }
  expect(readFileSync(`${at.outside}/precious`, 'utf8')).toBe('precious');
});

test('a single file comes without a way to its neighbours', async () => {
  using at = place();
  writeFileSync(`${at.root}/file`, 'old');
  writeFileSync(`${at.root}/neighbour`, 'mine');
  writeFileSync(`${at.from}/neighbour`, 'theirs');
  writeFileSync(`${at.from}/file`, 'newer');
  await attackWith({ root: `${at.root}/file`, isFile: true }, ['-a', '--delete', `${at.from}/`, 'x::tree/']);
  expect(readFileSync(`${at.root}/file`, 'utf8')).toBe('newer');
  expect(readFileSync(`${at.root}/neighbour`, 'utf8')).toBe('mine');
  expect(readdirSync(at.root).toSorted()).toEqual(['file', 'neighbour']);
});

test.each(['..', '../outside', '/etc', 'a//b', 'a/./b', 'a/../../outside', 'a\0b', 'x'.repeat(256), './a'])(
  'pruning refuses the path %j',
  async (path) => {
    using at = place();
    writeFileSync(`${at.root}/kept`, '');
    const listings = [
      { path: '', names: [] },
      { path, names: [] },
    ];
    await expect(pruneTree({ root: at.root, listings })).rejects.toMatchObject({ code: 'FILES_UNSAFE_PATH' });
    expect(existsSync(`${at.root}/kept`)).toBe(true);
  },
);

test('pruning does not follow links', async () => {
  using at = place();
  symlinkSync(at.outside, `${at.root}/link`);
  symlinkSync(at.outside, `${at.root}/doomed`);
  const listings = [
    { path: 'link', names: [] },
    { path: 'link/deeper', names: [] },
    { path: '', names: ['link'] },
  ];
  expect(await pruneTree({ root: at.root, listings })).toEqual({ deleted: 1, missing: [] });
  expect(readdirSync(at.root)).toEqual(['link']);
  expect(readdirSync(at.outside)).toEqual(['precious']);
});

test('pruning deletes what is not listed, with all that is in it, and tells what is missing', async () => {
  using at = place();
  mkdirSync(`${at.root}/a/b`, { recursive: true });
  writeFileSync(`${at.root}/a/b/f`, '');
  writeFileSync(`${at.root}/a/g`, '');
  writeFileSync(Buffer.from(`${at.root}/\xff`, 'latin1'), '');
  const listings = [
    { path: '', names: ['a', 'new'] },
    { path: 'a', names: ['g', 'h\n'] },
    { path: 'new', names: ['i'] },
  ];
  expect(await pruneTree({ root: at.root, listings })).toEqual({ deleted: 3, missing: ['new', 'a/h\n'] });
  expect(readdirSync(at.root)).toEqual(['a']);
  expect(readdirSync(`${at.root}/a`)).toEqual(['g']);
});
