/**
 * Everything that makes up a tree of files, as text to compare: by find(1) and getfattr(1), so by none of the code that
 * is tested. ACLs show as xattrs.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runner } from '../../exec/run.ts';
import { scratch } from './rig.ts';

const run = runner();
const FORMAT = '%P\\t%y\\t%m\\t%U:%G\\t%T@\\t%n\\t%D:%i\\t%l\\0';

/** One line an entry, sorted by path. Hard links are told by the first of their names, files by a hash. */
export async function describeTree(root: string, { ignoreXattrs = /(?!)/ } = {}): Promise<string[]> {
  using out = scratch();
  const listing = join(out.path, 'find');
  const xattrs = join(out.path, 'xattrs');
  await run('find', ['.', '-fprintf', listing, FORMAT], { cwd: root });
  await run('sh', ['-c', 'getfattr -R -P -h -d -m - -e hex . > "$1"', 'sh', xattrs], { cwd: root });
  const entries = readFileSync(listing, 'latin1')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'))
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  const firstNames = new Map<string, string>();
  const lines = entries.map(([path = '', type = '', mode, owner, time, links, identity = '', link]) => {
    if (!firstNames.has(identity)) firstNames.set(identity, path);
    const at = Buffer.from(`${root}/${path}`, 'latin1');
    const linked = type === 'd' ? '' : `${links} of ${JSON.stringify(firstNames.get(identity))}`;
    const content = type === 'f' ? createHash('sha1').update(readFileSync(at)).digest('hex') : '';
    const device = type === 'c' || type === 'b' ? lstatSync(at).rdev : '';
    return [JSON.stringify(path), type, mode, owner, time, linked, link, content, device].join(' ');
  });
  const attributes = readFileSync(xattrs, 'latin1')
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line !== '' && !ignoreXattrs.test(line)))
    .filter((block) => block.length > 1)
    .map((block) => block.toSorted().join(' '));
  return [...lines, ...attributes.toSorted()];
}
