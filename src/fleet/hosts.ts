/** The hosts that were added from here: /etc/drayage/hosts.json. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { readIfThere, writeAtomically } from './atomic-file.ts';
import { HOSTS_FILE } from './layout.ts';

const schema = z.object({
  hosts: z.array(
    z.object({
      /** As it was given to `drayage host add`, e.g. root@hostb. */
      name: z.string(),
      /** Unix time in milliseconds. */
      addedAt: z.number(),
    }),
  ),
});
export type AddedHost = z.infer<typeof schema>['hosts'][number];

/** In the order in which they were added. @throws DrayageError HOST_LIST_CORRUPT */
export async function addedHosts(file = HOSTS_FILE): Promise<AddedHost[]> {
  const text = await readIfThere(file);
  if (text === null) return [];
  try {
    return schema.parse(JSON.parse(text)).hosts;
  } catch (error) {
    throw new DrayageError('HOST_LIST_CORRUPT', `${file} does not hold a list of hosts.`, { cause: error });
  }
}

/** True if it was not in the list yet. */
export async function rememberHost(name: string, now: number, file = HOSTS_FILE): Promise<boolean> {
  const hosts = await addedHosts(file);
  if (hosts.some((host) => host.name === name)) return false;
  await write([...hosts, { name, addedAt: now }], file);
  return true;
}

/** True if it was in the list. */
export async function forgetHost(name: string, file = HOSTS_FILE): Promise<boolean> {
  const hosts = await addedHosts(file);
  const others = hosts.filter((host) => host.name !== name);
  if (others.length === hosts.length) return false;
  if (others.length === 0) await rm(file, { force: true });
  else await write(others, file);
  return true;
}

async function write(hosts: AddedHost[], file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeAtomically(file, `${JSON.stringify({ hosts }, null, 2)}\n`);
}
