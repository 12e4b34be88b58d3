import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** An id of this host, made once and kept: machine-id is the same in clones of a virtual machine, and hostnames repeat. */
export async function machineId(stateDir: string): Promise<string> {
  const path = join(stateDir, 'id');
  const known = await readFile(path, 'utf8').catch(() => '');
  if (known.trim() !== '') return known.trim();
  const id = randomUUID();
  await writeFile(path, `${id}\n`, { mode: 0o600 });
  return id;
}
