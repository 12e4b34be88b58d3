import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Open for reading and writing by a path that only this process has. */
interface NamelessFile extends AsyncDisposable {
  path: string;
}

/** A file that has no name any more: however the agent ends, nothing of it is left. */
export async function namelessFile(): Promise<NamelessFile> {
  const directory = await mkdtemp(join(tmpdir(), 'drayage-replay-'));
  try {
    const handle = await open(join(directory, 'file'), 'wx+', 0o600);
    return { path: `/proc/self/fd/${handle.fd}`, [Symbol.asyncDispose]: () => handle.close() };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
