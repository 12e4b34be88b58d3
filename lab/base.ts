/** The root file systems that lab hosts share, built once and kept. */
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../src/exec/run.ts';
import { addFromUnstable, bootstrap, type Debian, sweep } from './debian.ts';
import { lock } from './lock.ts';
import { debianMirror } from './mirror.ts';
import { ensurePrograms, TO_BUILD } from './packages.ts';
import { BASE_RECIPES, type BaseRecipe, type DockerVersion, hashOf } from './recipe.ts';

export interface BaseOptions {
  /** Directory of everything that labs keep. */
  store: string;
  mirror: string | undefined;
  run: Run;
  onProgress(line: string): void;
  signal?: AbortSignal | undefined;
}

/** The directory of the root file system with that Docker, built if it is not there. */
export async function ensureBase(version: DockerVersion, options: BaseOptions): Promise<string> {
  const directory = baseDirectory(options.store, version);
  if (await exists(directory)) return directory;
  await mkdir(options.store, { recursive: true });
  await using _ = await lock(join(options.store, 'build.lock'), options.signal);
  await removeHalfBuilt(options.store);
  await ensurePrograms(options.run, TO_BUILD, options.onProgress);
  const mirror = await debianMirror(options.mirror);
  const log = join(options.store, 'build.log');
  await rm(log, { force: true });
  return build(version, { run: options.run, mirror, log }, options);
}

function baseDirectory(store: string, version: DockerVersion): string {
  return join(store, `base-${version}-${hashOf(BASE_RECIPES[version])}`);
}

async function build(version: DockerVersion, debian: Debian, options: BaseOptions): Promise<string> {
  const directory = baseDirectory(options.store, version);
  if (await exists(directory)) return directory; // built by another process while we waited for the lock
  const recipe: BaseRecipe = BASE_RECIPES[version];
  const tree = `${directory}${HALF_BUILT}`;
  if (recipe.from === 'trixie') {
    options.onProgress(`building the lab's root file system with Docker ${version} (once, about 40 s)`);
    const { from: suite, packages } = recipe;
    await bootstrap(debian, tree, { suite, variant: 'minbase', packages });
  } else {
    const parent = await build(26, debian, options);
    options.onProgress(`building the lab's root file system with Docker ${version} (once, about 20 s)`);
    await options.run('cp', ['-a', parent, tree]);
  }
  await addFromUnstable(debian, tree, recipe.fromUnstable);
  await sweep(tree);
  await rename(tree, directory);
  return directory;
}

const HALF_BUILT = '.half-built';

async function removeHalfBuilt(store: string): Promise<void> {
  for (const name of await readdir(store)) {
    if (name.endsWith(HALF_BUILT)) await rm(join(store, name), { recursive: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
