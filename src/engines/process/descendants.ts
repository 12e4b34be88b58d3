/** Who belongs to a tree right now, at the cost of a few small reads: listProcesses looks at all of the host's. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What is executed, by pid, of the process and all that descend from it; '' where that is not to be told (a zombie).
 * Who ends meanwhile is left out. The kernel must have CONFIG_PROC_CHILDREN, as CRIU asks for, too.
 */
export function descendants(root: number, proc = '/proc'): Map<number, string> {
  const found = new Map<number, string>();
  const pids = [root];
  // The list grows while it is gone through.
  for (const pid of pids) {
    try {
      for (const thread of readdirSync(`${proc}/${pid}/task`)) {
        const children = readFileSync(`${proc}/${pid}/task/${thread}/children`, 'utf8');
        pids.push(...children.split(' ').filter(Boolean).map(Number));
      }
      found.set(pid, executableOf(`${proc}/${pid}`));
    } catch {}
  }
  return found;
}

function executableOf(dir: string): string {
  try {
    return readlinkSync(`${dir}/exe`);
  } catch {
    return '';
  }
}
