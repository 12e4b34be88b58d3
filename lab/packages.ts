/** Programs that the lab needs of the machine itself; what is missing is named, then installed by apt. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import type { Run } from '../src/exec/run.ts';

/** To run a lab: a program, and the Debian package that has it. */
export const TO_RUN = {
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  'ssh-keygen': 'openssh-client',
} as const;

/** To build root file systems and images. */
export const TO_BUILD = {
  mmdebstrap: 'mmdebstrap',
  '/usr/share/keyrings/debian-archive-keyring.gpg': 'debian-archive-keyring',
} as const;

/** @throws DrayageError LAB_NEEDS_PACKAGES where apt cannot install what is missing. */
export async function ensurePrograms(
  run: Run,
  programs: Readonly<Record<string, string>>,
  onProgress: (line: string) => void,
): Promise<void> {
  const missing = new Set<string>();
  for (const [program, debianPackage] of Object.entries(programs)) {
    if (!(await isThere(program))) missing.add(debianPackage);
  }
  if (missing.size === 0) return;
  const names = [...missing];
  onProgress(`installing by apt: ${names.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env });
  } catch (cause) {
    throw new DrayageError('LAB_NEEDS_PACKAGES', `Cannot install ${names.join(', ')}.`, { cause });
  }
}

const PROGRAM_DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

async function isThere(program: string): Promise<boolean> {
  const places = program.startsWith('/') ? [program] : PROGRAM_DIRECTORIES.map((dir) => join(dir, program));
  const found = await Promise.allSettled(places.map((place) => access(place)));
  return found.some(({ status }) => status === 'fulfilled');
}
