/** Pipes of a tree of processes that lead out of it. */
import { readdir, readlink } from 'node:fs/promises';
import { concurrently } from '../processes/concurrently.ts';

const AT_ONCE = 16;

/** `pipe:[4711] of process 12 (sshd)`: pipes that a process outside of the tree has open, too. */
export async function outerPipes(
  tree: readonly number[],
  all: readonly { pid: number; name: string }[],
  signal: AbortSignal,
): Promise<string[]> {
  const own = new Set((await concurrently(tree, AT_ONCE, signal, pipesOf)).flat());
  if (own.size === 0) return [];
  const inside = new Set(tree);
  const outside = all.filter(({ pid }) => !inside.has(pid));
  const found = new Map<string, string>();
  await concurrently(outside, AT_ONCE, signal, async ({ pid, name }) => {
    for (const pipe of await pipesOf(pid)) if (own.has(pipe)) found.set(pipe, `${pipe} of process ${pid} (${name})`);
  });
  return [...found.values()];
}

async function pipesOf(pid: number): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  return links.filter((link) => link.startsWith('pipe:'));
}
