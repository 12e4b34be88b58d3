import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { install, parseHashes, planInstall, presentFiles } from './install.ts';
import { WRAPPER } from './layout.ts';
import { type Program, type ProgramFile, programOf } from './program.ts';
import { localShell, type Shell } from './shell.ts';

let directory: string;
let program: Program;
/** The same scripts, with another root. */
let shell: Shell;
const all = { tools: new Set(['zstd', 'gzip']), remote: true };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drayage-install-'));
  await mkdir(join(directory, 'dist/shim'), { recursive: true });
  // A script, because the one thing that is asked of a new node before it is taken is its version.
  await writeFile(join(directory, 'dist/node'), `#!/bin/sh\n# ${'x'.repeat(100_000)}\n`);
  await writeFile(join(directory, 'dist/drayage.mjs'), 'start');
  await writeFile(join(directory, 'dist/main.mjs'), 'main');
  await writeFile(join(directory, 'dist/shim/drayage-runc'), 'shim');
  const own = { directory: join(directory, 'dist'), node: join(directory, 'dist/node'), version: '1' };
  program = moved(await programOf(own), join(directory, 'host'));
  const at = (argument: string) => (argument.startsWith('/usr') ? join(directory, 'host') + argument : argument);
  shell = { run: (script, args, options) => localShell.run(script, args.map(at), options) };
});

function moved(of: Program, root: string): Program {
  return { ...of, files: of.files.map((file): ProgramFile => ({ ...file, path: root + file.path })) };
}

const plan = async () => planInstall(program, await presentFiles(shell, program), 'absent');
const files = async () =>
  (await readdir(join(directory, 'host'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();

test.each([
  ['zstd', all],
  ['gzip', { ...all, tools: new Set(['gzip']) }],
  ['nothing', { ...all, tools: new Set<string>() }],
])('installs everything once, packed by %s', async (_, options) => {
  const seen: number[] = [];
  await install(await plan(), {
    shell,
    ...options,
    onProgress: (file, bytes) => file.path.endsWith('node') && seen.push(bytes),
  });
  expect(await files()).toEqual(['drayage', 'drayage-runc', 'drayage.mjs', 'main.mjs', 'node']);
  expect(seen.at(-1)).toBe(program.files[0]?.bytes);
  expect((await plan()).write).toEqual([]);
});

test('sends only what differs', async () => {
  await install(await plan(), { shell, ...all });
  await writeFile(join(directory, 'host/usr/local/lib/drayage/drayage.mjs'), 'older');
  expect((await plan()).write.map((file) => file.path)).toEqual([expect.stringContaining('drayage.mjs')]);
});

test("leaves another program's wrapper alone", () => {
  const bare = { ...program, files: program.files.map((f) => ({ ...f, path: f.path.slice(f.path.indexOf('/usr')) })) };
  const { write, keepsForeignWrapper } = planInstall(bare, new Map(), 'foreign');
  expect(keepsForeignWrapper).toBe(true);
  expect(write.map((file) => file.path)).not.toContain(WRAPPER);
});

test('what is interrupted or does not arrive whole leaves the old version', async () => {
  await install(await plan(), { shell, ...all });
  const bundle = join(directory, 'host/usr/local/lib/drayage/drayage.mjs');
  await writeFile(bundle, 'older');
  const { write } = await plan();
  const broken = write.map((file) => ({ ...file, sha256: '0'.repeat(64) }));
  await expect(install({ write: broken, keepsForeignWrapper: false }, { shell, ...all })).rejects.toMatchObject({
    code: 'HOST_TRANSFER',
  });
  expect(await readFile(bundle, 'utf8')).toBe('older');
});

test('a node that does not run there is not taken', async () => {
  await writeFile(join(directory, 'dist/node'), '#!/bin/sh\nexit 1\n');
  const own = { directory: join(directory, 'dist'), node: join(directory, 'dist/node'), version: '1' };
  program = moved(await programOf(own), join(directory, 'host'));
  await expect(install(await plan(), { shell, ...all })).rejects.toMatchObject({ code: 'HOST_TRANSFER' });
  expect((await files()).every((name) => name.endsWith('.incoming'))).toBe(true);
});

test('a program whose files are missing is none', async () => {
  const own = { directory: join(directory, 'none'), node: process.execPath, version: '1' };
  await expect(programOf(own)).rejects.toMatchObject({ code: 'SETUP_NO_PROGRAM' });
});

test('sums', () => {
  const sum = 'a'.repeat(64);
  expect([...parseHashes(`${sum}  /a b\n${sum} */c\nnoise\n`)]).toEqual([
    ['/a b', sum],
    ['/c', sum],
  ]);
});
