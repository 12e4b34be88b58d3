/** The drayage that a lab's hosts run: the one that made the lab, laid out as `drayage host add` would. */
import { chmod, copyFile, cp, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PROGRAM_DIRECTORY, PROGRAM_PARTS, WRAPPER, WRAPPER_TEXT } from '../src/fleet/layout.ts';
import { hashOf } from './recipe.ts';

/** A layer with the Node.js binary, which is large, made once and shared by all hosts of all labs. */
export async function nodeLayer(store: string, node: string): Promise<string> {
  const { size, mtimeMs } = await stat(node);
  const layer = join(store, `node-${hashOf([size, mtimeMs])}`);
  const binary = join(layer, PROGRAM_DIRECTORY, 'node');
  if (await stat(binary).catch(() => undefined)) return layer;
  await mkdir(join(layer, PROGRAM_DIRECTORY), { recursive: true });
  const half = `${binary}.${process.pid}`;
  await copyFile(node, half);
  await chmod(half, 0o755);
  await rename(half, binary);
  return layer;
}

/** Writes the rest of the program, which is in `directory`, into the tree of a host. */
export async function installProgram(tree: string, directory: string): Promise<void> {
  await mkdir(join(tree, PROGRAM_DIRECTORY), { recursive: true });
  for (const part of PROGRAM_PARTS) await cp(join(directory, part), join(tree, PROGRAM_DIRECTORY, part));
  await mkdir(join(tree, dirname(WRAPPER)), { recursive: true });
  await writeFile(join(tree, WRAPPER), WRAPPER_TEXT, { mode: 0o755 });
}
