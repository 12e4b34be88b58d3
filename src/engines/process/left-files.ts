/**
 * Files that moved processes went on writing elsewhere: what is left of them here is out of date, and when the
 * processes come back they need not be asked about it, as long as nobody else has touched it.
 */
import { lstatSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const RECORD = '/var/lib/drayage/left.json';
const MOST = 10_000;

type Left = Record<string, string>;

/** To be told when the copy runs on another host, and nothing of it here any more. */
export async function noteLeft(paths: readonly string[], record = RECORD): Promise<void> {
  const left = await readLeft(record);
  for (const path of paths) {
    const identity = identityOf(path);
    delete left[path]; // The newest stand last.
    if (identity !== undefined) left[path] = identity;
  }
  await mkdir(dirname(record), { recursive: true, mode: 0o700 });
  const kept = Object.fromEntries(Object.entries(left).slice(-MOST));
  await writeFile(`${record}.new`, JSON.stringify(kept), { mode: 0o600 });
  await rename(`${record}.new`, record);
}

/** Those of the paths that are as they were left. */
export async function stillLeft(paths: readonly string[], record = RECORD): Promise<Set<string>> {
  const left = await readLeft(record);
  return new Set(paths.filter((path) => left[path] !== undefined && left[path] === identityOf(path)));
}

async function readLeft(record: string): Promise<Left> {
  const text = await readFile(record, 'utf8').catch(() => '{}');
  try {
    return JSON.parse(text) as Left;
  } catch {
    return {};
  }
}

/** Whoever changes a file changes its ctime, and nobody can set that back. */
function identityOf(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}:${stats.size}:${stats.ctimeNs}`;
}
