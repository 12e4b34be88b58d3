/** Who belongs to a tree right now, at the cost of a few small reads: listProcesses looks at all of the host's. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What is executed, by pid, of these processes and all that descend from them; '' where that is not to be told (a
 * zombie, one that has ended). The kernel must have CONFIG_PROC_CHILDREN, as CRIU asks for, too.
 */
export function descendants(pids: readonly number[], proc = '/proc'): Map<number, string> {
  const found = new Map<number, string>();
  const all = [...pids];
  // The list grows while it is gone through.
  for (const pid of all) {
    if (found.has(pid)) continue;
    found.set(pid, whileThere(() => readlinkSync(`${proc}/${pid}/exe`)) ?? '');
    for (const thread of whileThere(() => readdirSync(`${proc}/${pid}/task`)) ?? []) {
      const children = whileThere(() => readFileSync(`${proc}/${pid}/task/${thread}/children`, 'utf8')) ?? '';
      all.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return found;
}

/** What is looked at may end at any time: undefined then. */
export function whileThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
