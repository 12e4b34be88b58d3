/** The drayage that a lab's hosts run: the one that made the lab, laid out as `drayage host add` would. */
import { chmod, copyFile, cp, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from './recipe.ts';

const PLACE = 'usr/local/lib/drayage';

export interface Program {
  /** Holds `drayage.mjs` and `shim/`: dist/ of a checkout or of the installed package. */
  directory: string;
  /** The Node.js binary. */
  node: string;
}

/** A layer with the Node.js binary, which is large, made once and shared by all hosts of all labs. */
export async function nodeLayer(store: string, node: string): Promise<string> {
  const { size, mtimeMs } = await stat(node);
  const layer = join(store, `node-${hashOf([size, mtimeMs])}`);
  const binary = join(layer, PLACE, 'node');
  if (await stat(binary).catch(() => undefined)) return layer;
  await mkdir(join(layer, PLACE), { recursive: true });
  const half = `${binary}.${process.pid}`;
  await copyFile(node, half);
  await chmod(half, 0o755);
  await rename(half, binary);
  return layer;
}

/** Writes the rest of the program into the tree of a host. */
export async function installProgram(tree: string, directory: string): Promise<void> {
  await mkdir(join(tree, PLACE), { recursive: true });
  await copyFile(join(directory, 'drayage.mjs'), join(tree, PLACE, 'drayage.mjs'));
  await cp(join(directory, 'shim'), join(tree, PLACE, 'shim'), { recursive: true });
  const wrapper = join(tree, 'usr/local/bin/drayage');
  await mkdir(join(tree, 'usr/local/bin'), { recursive: true });
  await writeFile(wrapper, `#!/bin/sh\nexec /${PLACE}/node /${PLACE}/drayage.mjs "$@"\n`);
  await chmod(wrapper, 0o755);
}
