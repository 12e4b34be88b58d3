/** All processes of this host, as far as it takes to find a tree among them. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseStat } from '../../tools/proc.ts';
import { concurrently } from '../processes/concurrently.ts';
import type { Candidate } from './tree.ts';

const AT_ONCE = 32;

/** One that ends meanwhile is left out. Kernel threads are listed like all others. */
export async function listProcesses(signal: AbortSignal, proc = '/proc'): Promise<Candidate[]> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name));
  const own = await readlink(`${proc}/self/ns/pid`).catch(() => '');
  const found = await concurrently(pids, AT_ONCE, signal, async (pid): Promise<Candidate | undefined> => {
    const text = await readFile(`${proc}/${pid}/stat`, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const [program, namespace] = await Promise.all([
      readlink(`${proc}/${pid}/exe`).then(programName, () => ''),
      readlink(`${proc}/${pid}/ns/pid`).catch(() => ''),
    ]);
    return { ...parseStat(text), program, isInside: namespace !== '' && own !== '' && namespace !== own };
  });
  return found.filter((one) => one !== undefined);
}

/** What replaced its executable on disk has the kernel say so. */
function programName(exe: string): string {
  return basename(exe.replace(/ \(deleted\)$/, ''));
}
