/** A lock between processes that the kernel releases when its holder dies, whatever kills it. */
import { once } from 'node:events';
import { start } from '../src/exec/run.ts';

/** Waits for the lock on `path` (made if absent) and holds it until disposed. */
export async function lock(path: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  // flock(1) holds the lock for as long as its child lives, and cat lives until our end of the pipe is closed.
  const holder = start('flock', [path, 'sh', '-c', 'echo held; exec cat'], signal === undefined ? {} : { signal });
  const ended = holder.exited.then(({ error }) => {
    signal?.throwIfAborted();
    throw error ?? new Error(`flock ended without the lock on ${path}`);
  });
  ended.catch(() => {});
  await Promise.race([once(holder.stdout, 'data'), ended]);
  return {
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end();
      await holder.exited;
    },
  };
}
