import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file that has no name any more: however the agent ends, nothing of it is left. To be closed by whoever asked. */
export async function namelessFile(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), 'drayage-replay-'));
  try {
    return await open(join(directory, 'file'), 'wx+', 0o600);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
