/**
 * The `tar` that CRIU finds first in its PATH. CRIU packs the content of every tmpfs of a container by `tar --gzip`
 * (criu/filesystems.c), and unpacks it so, inside the freeze: gzip takes seconds for what is in a large /dev/shm, and
 * two more programs for each of the half a dozen that are empty. This one leaves it out, and takes both kinds back.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';

/** Makes `dir`, if it is not there, and puts a `tar` into it. Nothing happens where the host has no tar. */
export async function placeTar(dir: string): Promise<void> {
  const tar = await findProgram('tar');
  if (tar === undefined) return;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(join(dir, 'tar'), script(tar), { mode: 0o700 });
}

// The archive is standard input, a file: by its name tar finds out by itself how it is packed.
function script(tar: string): string {
  return `#!/bin/sh
way=
for argument; do
  shift
  case $argument in
    --extract) way=--file=/proc/self/fd/0 ;;
    --gzip) set -- "$@" \${way:+"$way"}; continue ;;
  esac
  set -- "$@" "$argument"
done
exec ${tar} "$@"
`;
}
