/**
 * An image as `docker save` writes it. Made here and not by `docker import`, which would give the same tree another id
 * on every host and each time.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Run } from '../src/exec/run.ts';
import type { ImageConfig } from './image-recipes.ts';

export interface ArchiveParts {
  reference: string;
  /** Trees, the lowest first. */
  layers: readonly string[];
  config: ImageConfig;
}

/** @param scratch a directory that is not there yet, and is not afterwards. */
export async function writeArchive(run: Run, target: string, scratch: string, parts: ArchiveParts): Promise<void> {
  await mkdir(scratch, { recursive: true });
  const layers = [];
  for (const tree of parts.layers) {
    const name = `${basename(tree)}.tar`;
    await tar(run, join(scratch, name), tree);
    layers.push({ name, id: await digest(join(scratch, name)) });
  }
  const created = new Date().toISOString();
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created,
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], ...parts.config },
    rootfs: { type: 'layers', diff_ids: layers.map(({ id }) => `sha256:${id}`) },
    history: layers.map(({ name }) => ({ created, created_by: `drayage lab: ${name}` })),
  };
  const manifest = { Config: 'config.json', RepoTags: [parts.reference], Layers: layers.map(({ name }) => name) };
  await writeFile(join(scratch, 'config.json'), JSON.stringify(config));
  await writeFile(join(scratch, 'manifest.json'), JSON.stringify([manifest]));
  await tar(run, `${target}.half`, scratch);
  await rm(scratch, { recursive: true });
  await rename(`${target}.half`, target);
}

/** The same tree gives the same archive, so that its layer has the same id. */
async function tar(run: Run, archive: string, tree: string): Promise<void> {
  await run('tar', ['-C', tree, '--numeric-owner', '--sort=name', '--mtime=@0', '-cf', archive, '.']);
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
