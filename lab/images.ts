/** Images for lab hosts, built once from Debian packages and files of the lab, and kept as tar archives. */
import { access, chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import { asset } from './assets.ts';
import { type BaseOptions, ensureBase } from './base.ts';
import { bootstrap } from './debian.ts';
import { IMAGE_RECIPES, type ImageRecipe } from './image-recipes.ts';
import { lock } from './lock.ts';
import { debianMirror } from './mirror.ts';
import { ensurePrograms, TO_BUILD } from './packages.ts';
import { hashOf } from './recipe.ts';

/** What `docker import` takes. */
export interface Image {
  reference: string;
  /** A tar archive of the tree. */
  archive: string;
  /** Dockerfile instructions. */
  changes: readonly string[];
}

/**
 * An image by its name in the lab, built if it was not before.
 * @throws DrayageError LAB_NOT_FOUND, LAB_BUILD_FAILED, LAB_NO_MIRROR
 */
export async function ensureImage(name: string, options: BaseOptions): Promise<Image> {
  const recipe = IMAGE_RECIPES[name];
  if (recipe === undefined) {
    const remedy = `There are: ${Object.keys(IMAGE_RECIPES).join(', ')}.`;
    throw new DrayageError('LAB_NOT_FOUND', `The lab has no image ${name}.`, { remedy });
  }
  const files = await readFiles(recipe);
  const directory = join(options.store, `images-${hashOf([recipe, files])}`);
  const image = { reference: `${name}:latest`, archive: join(directory, `${name}.tar`), changes: recipe.changes };
  if (await isThere(image.archive)) return image;
  // First, since it takes the lock that is taken next.
  const base = await ensureBase(26, options);
  await using _ = await lock(join(options.store, 'build.lock'), options.signal);
  if (await isThere(image.archive)) return image;
  options.onProgress(`building image ${name} (once)`);
  await mkdir(directory, { recursive: true });
  const tree = join(directory, `${name}.tree`);
  await rm(tree, { recursive: true, force: true });
  await fill(tree, { recipe, files, base, options });
  const half = `${image.archive}.half`;
  await options.run('tar', ['-C', tree, '--numeric-owner', '--sort=name', '--mtime=@0', '-cf', half, '.']);
  await rm(tree, { recursive: true });
  await rename(half, image.archive);
  return image;
}

type Files = Readonly<Record<string, string>>;

/** Contents by place in the image. */
async function readFiles(recipe: ImageRecipe): Promise<Files> {
  const read = Object.entries(recipe.files).map(
    async ([name, place]) => [place, await readFile(await asset(`images/${name}`), 'utf8')] as const,
  );
  return Object.fromEntries(await Promise.all(read));
}

async function fill(
  tree: string,
  { recipe, files, base, options }: { recipe: ImageRecipe; files: Files; base: string; options: BaseOptions },
): Promise<void> {
  if (recipe.packages.length > 0) {
    await ensurePrograms(options.run, TO_BUILD, options.onProgress);
    const debian = {
      run: options.run,
      mirror: await debianMirror(options.mirror),
      log: join(options.store, 'build.log'),
    };
    // base-files has the links by which /bin and /lib are in /usr.
    const packages = ['base-files', ...recipe.packages];
    await bootstrap(debian, tree, { suite: 'trixie', variant: 'extract', packages });
  }
  for (const directory of ['bin', 'data', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'usr/bin', 'var/www']) {
    await mkdir(join(tree, directory), { recursive: true });
  }
  await chmod(join(tree, 'tmp'), 0o1777);
  await copyFile(join(base, 'usr/bin/busybox'), join(tree, 'bin/busybox'));
  // What is there by a package stays; busybox complains of it by its status.
  await options.run('chroot', [tree, '/bin/busybox', '--install', '-s', '/bin'], { okCodes: [0, 1] });
  await writeFile(join(tree, 'etc/passwd'), PASSWD);
  await writeFile(join(tree, 'etc/group'), GROUP);
  for (const [place, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, place)), { recursive: true });
    await writeFile(join(tree, place), text, { mode: 0o755 });
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
