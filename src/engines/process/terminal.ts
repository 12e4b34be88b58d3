/** Pure: the terminal that a tree of processes is on, and that is not its own. */

export interface TerminalFacts {
  /** `/dev/pts/3` */
  path: string;
  /** As CRIU names what it is to be given from outside: `tty[8803:19]`. */
  id: string;
  /** The leader of its session is one of the tree. Else it is a job of a shell that stays behind. */
  isLed: boolean;
}

export interface OpenTerminal {
  path: string;
  /** Of the device. */
  rdev: number;
  /** Of the file system that its node is on. */
  dev: number;
  /** Of a master (`/dev/ptmx`) the number of its slave. */
  masterOf?: number;
}

/** By its own fields of /proc/P/stat: `terminal` is the device number as the kernel prints it. */
export interface SessionMember {
  pid: number;
  session: number;
  terminal: number;
}

/** Slaves whose master is not the tree's. CRIU takes one at most (criu/tty.c, tty_verify_active_pairs). */
export function outerTerminals(open: readonly OpenTerminal[], members: readonly SessionMember[]): TerminalFacts[] {
  const own = new Set(open.flatMap(({ masterOf }) => (masterOf === undefined ? [] : [`/dev/pts/${masterOf}`])));
  const found = new Map<string, TerminalFacts>();
  for (const { path, rdev, dev } of open) {
    if (!/^\/dev\/pts\/\d+$/.test(path) || own.has(path)) continue;
    const isLed = members.some((one) => one.pid === one.session && one.terminal === rdev);
    found.set(path, { path, id: `tty[${rdev.toString(16)}:${dev.toString(16)}]`, isLed });
  }
  return [...found.values()];
}
