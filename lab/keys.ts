/** The ssh keys of a lab: every host knows every other, and root on each may log in on all. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../src/exec/run.ts';

export interface KeyHolder {
  name: string;
  address: string;
  /** Where the host's root file system is written to. */
  tree: string;
}

export async function makeKeys(run: Run, directory: string, hosts: readonly KeyHolder[]): Promise<void> {
  const user = await makeKey(run, join(directory, 'id_ed25519'), 'root@lab');
  const known = await Promise.all(
    hosts.map(async ({ name, address, tree }) => {
      await mkdir(join(tree, 'etc/ssh'), { recursive: true });
      const key = await makeKey(run, join(tree, 'etc/ssh/ssh_host_ed25519_key'), `root@${name}`);
      return `${name},${address} ${key.open}`;
    }),
  );
  for (const { tree } of hosts) {
    const ssh = join(tree, 'root/.ssh');
    await mkdir(ssh, { recursive: true });
    for (const dir of [join(tree, 'root'), ssh]) await chmod(dir, 0o700);
    await writeFile(join(ssh, 'id_ed25519'), user.secret, { mode: 0o600 });
    await writeFile(join(ssh, 'id_ed25519.pub'), user.open);
    await writeFile(join(ssh, 'authorized_keys'), user.open);
    await writeFile(join(ssh, 'known_hosts'), known.join(''));
  }
}

async function makeKey(run: Run, path: string, comment: string): Promise<{ secret: string; open: string }> {
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', path], { input: 'y\n' });
  return { secret: await readFile(path, 'utf8'), open: await readFile(`${path}.pub`, 'utf8') };
}
