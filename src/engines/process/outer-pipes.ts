/** Pipes of a tree of processes that lead out of it. */
import { readdir, readlink } from 'node:fs/promises';
import { concurrently } from '../processes/concurrently.ts';

export interface OuterPipe {
  /** `pipe:[4711]` */
  pipe: string;
  /** `process 12 (sshd)`: one that has it open, too. */
  with: string;
  /** It is a standard stream. Others are as a rule inherited by mistake, and not used. */
  isStandard: boolean;
}

const AT_ONCE = 16;
const STANDARD = ['0', '1', '2'];

export async function outerPipes(
  tree: readonly number[],
  all: readonly { pid: number; name: string }[],
  signal: AbortSignal,
): Promise<OuterPipe[]> {
  const own = new Map<string, boolean>();
  for (const [fd, pipe] of (await concurrently(tree, AT_ONCE, signal, pipesOf)).flat())
    own.set(pipe, own.get(pipe) === true || STANDARD.includes(fd));
  if (own.size === 0) return [];
  const inside = new Set(tree);
  const outside = all.filter(({ pid }) => !inside.has(pid));
  const found = new Map<string, OuterPipe>();
  await concurrently(outside, AT_ONCE, signal, async ({ pid, name }) => {
    for (const [, pipe] of await pipesOf(pid)) {
      const isStandard = own.get(pipe);
      if (isStandard !== undefined) found.set(pipe, { pipe, with: `process ${pid} (${name})`, isStandard });
    }
  });
  return [...found.values()];
}

/** Descriptors and pipes. */
async function pipesOf(pid: number): Promise<[string, string][]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(
    fds.map(async (fd): Promise<[string, string]> => [fd, await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')]),
  );
  return links.filter(([, link]) => link.startsWith('pipe:'));
}
