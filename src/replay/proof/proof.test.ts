import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { validate } from 'dockerfile-utils';
import { type Header, pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { buildLines } from '../move/build-progress.ts';
import { namelessFile } from '../nameless-file.ts';
import { compare } from './compare.ts';
import { entriesOf, type Manifest } from './manifest.ts';
import { restLines, writeRest } from './rest.ts';

type File = Partial<Header> & { name: string; text?: string };

function tar(files: File[]): Readable {
  const archive = pack();
  for (const { text, ...header } of files) archive.entry(header, text ?? '');
  archive.finalize();
  return Readable.from(archive as AsyncIterable<Buffer>, { objectMode: false });
}

async function manifest(stream: Readable): Promise<Manifest> {
  const found: Manifest = new Map();
  for await (const [path, entry] of entriesOf(stream)) found.set(path, entry);
  return found;
}

const FILES: File[] = [
  { name: 'etc/', type: 'directory', mode: 0o755 },
  { name: 'etc/a', mode: 0o644, text: 'a' },
  { name: 'etc/b', mode: 0o4755, uid: 5, gid: 6, text: 'b' },
  { name: 'etc/hard', type: 'link', linkname: 'etc/b' },
  { name: 'etc/soft', type: 'symlink', linkname: 'a' },
];

test('what counts: type, mode, owner, content, where a link leads', async () => {
  const found = await manifest(tar(FILES));
  expect([...found.keys()]).toEqual(['/etc', '/etc/a', '/etc/b', '/etc/hard', '/etc/soft']);
  expect(found.get('/etc/hard')).toEqual(found.get('/etc/b'));
  expect(found.get('/etc/b')).toMatchObject({ type: 'file', mode: 0o4755, uid: 5, gid: 6 });
  expect(found.get('/etc/soft')).toMatchObject({ type: 'symlink', content: 'a' });
});

test('each difference by name, and 100 % only where there is none', async () => {
  const container = await manifest(tar(FILES));
  expect(compare(container, await manifest(tar(FILES)))).toEqual({ paths: 5, score: 100, differences: [] });
  const other: File[] = [
    ...FILES.slice(0, 1),
    { name: 'etc/a', mode: 0o600, text: 'x' },
    { name: 'etc/b', mode: 0o4755, uid: 0, gid: 6, text: 'b' },
    { name: 'etc/soft', type: 'directory' },
    { name: 'etc/new', text: '' },
  ];
  const { score, differences } = compare(container, await manifest(tar(other)));
  expect(score).toBe(16.66);
  expect(differences.map(({ path, what }) => `${path} ${what}`)).toEqual([
    '/etc/a other content, mode 0644, in the image 0600',
    '/etc/b owner 5:6, in the image 0:6',
    '/etc/hard is missing in the image',
    '/etc/new is only in the image',
    '/etc/soft is a symlink, and a directory in the image',
  ]);
});

test('caches, logs, histories and what the engine makes do not count', async () => {
  const names = [
    'var/cache/x',
    'var/log/dpkg.log',
    'root/.bash_history',
    'etc/hostname',
    'run/x',
    'opt/__pycache__/a.pyc',
  ];
  const container = await manifest(tar(names.map((name) => ({ name, text: 'x' }))));
  expect(compare(container, new Map()).paths).toBe(0);
});

test('directories that the engine made for mounts do not count, others on the way to them do', async () => {
  const directories = ['srv', 'srv/deep', 'srv/deep/data'].map(
    (name): File => ({ name, type: 'directory', mode: 0o755 }),
  );
  const container = await manifest(tar(directories));
  const built = await manifest(tar(directories.slice(0, 1)));
  expect(compare(container, built, ['/srv/deep/data'])).toEqual({ paths: 1, score: 100, differences: [] });
  expect(compare(container, built).differences).toHaveLength(2);
});

test('an export that is cut off is no file system', async () => {
  const whole = await all<Buffer>(tar(FILES));
  const cut = new Readable({ read: () => {} });
  cut.push(Buffer.concat(whole).subarray(0, 1500));
  setTimeout(() => cut.destroy(), 20);
  await expect(manifest(cut)).rejects.toThrow('cut off');
});

test('the rest is exactly what differs, with modes and owners, and what is too much is removed', async () => {
  const container = await manifest(tar(FILES));
  const built = await manifest(
    tar([...FILES.slice(0, 2), { name: 'new', type: 'directory' }, { name: 'new/x y', text: '' }]),
  );
  const { differences } = compare(container, built);
  await using file = await namelessFile();
  await writeRest(tar(FILES), differences, createWriteStream(file.path));
  const rest = await manifest(createReadStream(file.path));
  expect([...rest.keys()]).toEqual(['/etc/b', '/etc/hard', '/etc/soft']);
  expect(rest.get('/etc/b')).toEqual(container.get('/etc/b'));
  const removal = 'RUN ["rm","-rf","/new"]';
  expect(restLines(differences, 'root')).toEqual(['# what no command explains', removal, 'ADD rest.tar /']);
  const whole = `FROM x:1\nUSER app\n${restLines(differences, 'app').join('\n')}\n`;
  expect(validate(whole)).toEqual([]);
  // The user of the image stays who it was.
  expect(restLines(differences, 'app').slice(1, 4)).toEqual(['USER root', removal, 'USER app']);
});

test('what the classic builder says', async () => {
  const said = [
    { stream: 'Step 1/2 : FROM x' },
    { stream: '\n' },
    { stream: ' ---> Running in 0123456789ab\n' },
    { stream: ' ---> 0123456789ab\n' },
    { stream: 'Step 2/2 : RUN false\n' },
    { stream: 'one\ntwo\n' },
  ];
  const lines = async (last: object) => all(buildLines(chunks([...said, last])));
  expect(await lines({ aux: { ID: 'sha256:1' } })).toEqual([
    { type: 'step', number: 1, of: 2, text: 'FROM x' },
    { type: 'runs', id: '0123456789ab' },
    { type: 'made', id: '0123456789ab' },
    { type: 'step', number: 2, of: 2, text: 'RUN false' },
    { type: 'built', image: 'sha256:1' },
  ]);
  expect((await lines({ error: 'returned 1' })).at(-1)).toEqual({
    ...{ type: 'failed', step: 'RUN false', message: 'returned 1', output: ['one', 'two'] },
  });
  expect((await lines({ stream: '' })).at(-1)).toMatchObject({ type: 'failed' });
});

/** In pieces that end anywhere. */
async function* chunks(objects: object[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(objects.map((one) => `${JSON.stringify(one)}\r\n`).join(''));
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
