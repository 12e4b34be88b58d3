/** Images for lab hosts, built once from Debian packages and files of the lab, and kept as archives. */
import { access, chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import { asset } from './assets.ts';
import { type BaseOptions, ensureBase } from './base.ts';
import { bootstrap } from './debian.ts';
import { writeArchive } from './image-archive.ts';
import { IMAGE_RECIPES, type ImageRecipe } from './image-recipes.ts';
import { lock } from './lock.ts';
import { debianMirror } from './mirror.ts';
import { ensurePrograms, TO_BUILD } from './packages.ts';
import { hashOf } from './recipe.ts';
import { makeSystem } from './system-tree.ts';

/**
 * The archive of an image by its name in the lab, built if it was not before. Its tag is NAME:latest.
 * @throws DrayageError LAB_NOT_FOUND, LAB_BUILD_FAILED, LAB_NO_MIRROR
 */
export async function ensureImage(name: string, options: BaseOptions): Promise<string> {
  const recipe = IMAGE_RECIPES[name];
  if (recipe === undefined) {
    const remedy = `There are: ${Object.keys(IMAGE_RECIPES).join(', ')}.`;
    throw new DrayageError('LAB_NOT_FOUND', `The lab has no image ${name}.`, { remedy });
  }
  const files = await readFiles(recipe);
  const stem = join(options.store, 'images', `${name}-${hashOf([REVISION, recipe, files])}`);
  const archive = `${stem}.tar`;
  if (await isThere(archive)) return archive;
  // First, since it takes the lock that is taken next.
  const base = await ensureBase(26, options);
  await using _ = await lock(join(options.store, 'build.lock'), options.signal);
  if (await isThere(archive)) return archive;
  options.onProgress(`building image ${name} (once)`);
  const scratch = `${stem}.half-built`;
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const layers =
    recipe.repository === undefined ? [join(scratch, 'busybox'), join(scratch, name)] : [join(scratch, name)];
  if (recipe.repository === undefined) await makeBusyboxLayer(join(scratch, 'busybox'), base, options);
  await makeOwnLayer(join(scratch, name), recipe, files, options);
  const parts = { reference: `${name}:latest`, layers, config: recipe.config };
  await writeArchive(options.run, archive, join(scratch, 'archive'), parts);
  await rm(scratch, { recursive: true });
  return archive;
}

/** To be raised when the way of building changes but the recipes do not. */
const REVISION = 1;

/** Contents by place in the image. */
type Files = Readonly<Record<string, string>>;

async function readFiles(recipe: ImageRecipe): Promise<Files> {
  const read = Object.entries(recipe.files).map(
    async ([name, place]) => [place, await readFile(await asset(`images/${name}`), 'utf8')] as const,
  );
  return Object.fromEntries(await Promise.all(read));
}

async function makeBusyboxLayer(tree: string, base: string, { run }: BaseOptions): Promise<void> {
  for (const directory of ['data', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp', 'var']) {
    await mkdir(join(tree, directory), { recursive: true });
  }
  await chmod(join(tree, 'tmp'), 0o1777);
  // As Debian has it, so that its packages can be laid over.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(tree, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(tree, name));
  }
  await copyFile(join(base, 'usr/bin/busybox'), join(tree, 'bin/busybox'));
  // It cannot replace itself with a link, and says so by its status.
  await run('chroot', [tree, '/bin/busybox', '--install', '-s', '/bin'], { okCodes: [0, 1] });
  await writeFile(join(tree, 'etc/passwd'), PASSWD);
  await writeFile(join(tree, 'etc/group'), GROUP);
}

async function makeOwnLayer(tree: string, recipe: ImageRecipe, files: Files, options: BaseOptions): Promise<void> {
  const { run, store, onProgress } = options;
  const { repository } = recipe;
  if (recipe.packages.length > 0) await ensurePrograms(run, TO_BUILD, onProgress);
  const debian = async () => ({ run, mirror: await debianMirror(options.mirror), log: join(store, 'build.log') });
  if (repository !== undefined) await makeSystem(await debian(), tree, recipe.packages, repository);
  else if (recipe.packages.length > 0) {
    await bootstrap(await debian(), tree, { suite: 'trixie', variant: 'extract', packages: recipe.packages });
    // What mmdebstrap leaves of its own work, and links and files that the layer below has.
    for (const name of [
      'bin',
      'sbin',
      'lib',
      'lib64',
      'dev',
      'tmp',
      'etc/apt',
      'var/lib/apt',
      'var/cache',
      'var/lib/dpkg',
    ]) {
      await rm(join(tree, name), { recursive: true, force: true });
    }
  }
  for (const [place, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, place)), { recursive: true });
    await writeFile(join(tree, place), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
}

const PASSWD = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
`;

const GROUP = `root:x:0:
www-data:x:33:
nogroup:x:65534:
`;

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
