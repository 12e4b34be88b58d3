/** Memory images hold secrets: they live on a tmpfs of their own, which is gone when it is unmounted. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import type { Run } from '../exec/run.ts';
import { parseMounts } from './proc.ts';

/** Mounts a private tmpfs of at most `bytes` at `path`, made 0700. */
export async function mountTmpfs(run: Run, path: string, bytes: number): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700,nosuid,nodev`, 'drayage', path]);
}

/** Unmounts and removes it; nothing happens where it is not mounted. Lazily, so that a straggler cannot keep it. */
export async function unmountTmpfs(run: Run, path: string): Promise<void> {
  await run('umount', ['--lazy', path], { okCodes: [0, 1, 32] });
  await rm(path, { recursive: true, force: true });
}

/** Unmounts whatever is mounted somewhere below `dir`, the deepest first. */
export async function unmountBelow(run: Run, dir: string): Promise<void> {
  const points = parseMounts(await readFile('/proc/self/mountinfo', 'latin1')).map((mount) => mount.path);
  for (const point of points.filter((each) => each.startsWith(`${dir}/`)).reverse()) {
    await run('umount', ['--lazy', point], { okCodes: [0, 1, 32] });
  }
}
