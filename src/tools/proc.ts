/** What /proc says of processes, as proc(5) and the kernel's fs/proc describe it: pure parsers of its text. */

export interface ProcessStatus {
  pid: number;
  name: string;
  /** `R`, `S`, `D`, `T`, `Z` … */
  state: string;
  /** 0 where nobody traces it. */
  tracerPid: number;
  /** The pid in every pid namespace from the reader's inwards. */
  pids: number[];
  /** Session ids, likewise; 0 where the leader is outside of that namespace. */
  sessions: number[];
  /** User ids and group ids: real, effective and saved ones of each. */
  owners: number[];
  anonBytes: number;
  /** Resident pages of shared memory and tmpfs files; counted once for every process that maps them. */
  shmemBytes: number;
  swapBytes: number;
}

/** `/proc/P/status`. A zombie has no memory, which counts as 0. */
export function parseStatus(text: string): ProcessStatus {
  const fields = new Map(text.split('\n').map((line) => splitOnce(line, ':')));
  const numbers = (key: string): number[] => (fields.get(key)?.trim().split(/\s+/) ?? []).map(Number);
  const bytes = (key: string): number => (numbers(key)[0] ?? 0) * 1024;
  const pid = numbers('Pid')[0] ?? 0;
  return {
    pid,
    name: fields.get('Name')?.trim() ?? '',
    state: fields.get('State')?.trim().charAt(0) ?? '',
    tracerPid: numbers('TracerPid')[0] ?? 0,
    pids: fields.has('NSpid') ? numbers('NSpid') : [pid],
    sessions: numbers('NSsid'),
    owners: [...numbers('Uid').slice(0, 3), ...numbers('Gid').slice(0, 3)],
    anonBytes: bytes('RssAnon'),
    shmemBytes: bytes('RssShmem'),
    swapBytes: bytes('VmSwap'),
  };
}

/** What `/proc/P/stat` tells and `/proc/P/status` does not. */
export interface ProcessStat {
  pid: number;
  name: string;
  /** `R`, `S`, `D`, `T`, `Z` … */
  state: string;
  parent: number;
  group: number;
  session: number;
  /** Device number of its controlling terminal; 0 where it has none. */
  terminal: number;
  /** In ticks since the host was booted: with the pid it is unlike any other process's. */
  startedAt: string;
}

/** `/proc/P/stat`; the name may hold spaces and brackets. */
export function parseStat(text: string): ProcessStat {
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  const fields = text.slice(close + 2).split(' ');
  const number = (at: number): number => Number(fields[at] ?? 0);
  return {
    pid: Number(text.slice(0, open)),
    name: text.slice(open + 1, close),
    state: fields[0] ?? '',
    parent: number(1),
    group: number(2),
    session: number(3),
    terminal: number(4),
    startedAt: fields[19] ?? '',
  };
}

/** Whether the process of that `/proc/P/status` has a capability in effect, by its number (linux/capability.h). */
export function hasCapability(text: string, number: number): boolean {
  const mask = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(text)?.[1] ?? '0'}`);
  return (mask & (1n << BigInt(number))) !== 0n;
}

/** `Pss_Shmem` of `/proc/P/smaps_rollup` in bytes: resident shared memory, divided by the number of its users. */
export function parseSharedShare(text: string): number {
  return Number(/^Pss_Shmem:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

export interface Mapping {
  /** `7f00-7f01`, which is also its name in `/proc/P/map_files`. */
  range: string;
  inode: number;
  /** As the kernel prints it, with ` (deleted)` where that is so. */
  path: string;
}

/** Those lines of `/proc/P/maps` that map a file or device. */
export function parseFileMappings(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split('\n')) {
    const slash = line.indexOf('/');
    if (slash < 0) continue;
    const [range = '', , , , inode = '0'] = line.slice(0, slash).split(/ +/);
    mappings.push({ range, inode: Number(inode), path: line.slice(slash) });
  }
  return mappings;
}

export interface Mount {
  /** `major:minor` */
  device: string;
  /** Directory of its file system that is mounted. */
  root: string;
  path: string;
  type: string;
  /** Options of the file system: `upperdir=…`. */
  options: string[];
}

/** `/proc/P/mountinfo` */
export function parseMounts(text: string): Mount[] {
  return lines(text).map((line) => {
    // Any number of optional fields stands before the dash.
    const [mount = '', fileSystem = ''] = line.split(' - ', 2);
    const [, , device = '', root = '', path = ''] = mount.split(' ');
    const [type = '', , options = ''] = fileSystem.split(' ');
    return { device, root: unquote(root), path: unquote(path), type, options: options.split(',').map(unquote) };
  });
}

export interface FileLock {
  /** `POSIX`, `FLOCK`, `OFDLCK`, `LEASE` … */
  kind: string;
  mode: string;
  /** -1 for open file description locks, which have no owner. */
  pid: number;
  inode: number;
}

/** `/proc/locks`, without the lines of those that wait for a lock. */
export function parseLocks(text: string): FileLock[] {
  return lines(text).flatMap((line) => {
    const [, kind = '', , mode = '', pid = '', file = ''] = line.split(/\s+/);
    return kind === '->' ? [] : [{ kind, mode, pid: Number(pid), inode: Number(file.split(':')[2]) }];
  });
}

export interface Watch {
  /** `major:minor` */
  device: string;
  inode: number;
}

/** What an inotify descriptor watches, from its `/proc/P/fdinfo`. */
export function parseWatches(text: string): Watch[] {
  return [...text.matchAll(/^inotify wd:\S+ ino:([0-9a-f]+) sdev:([0-9a-f]+)/gm)].map(([, inode = '', device = '']) => {
    // The kernel's own dev_t: 12 bits of major, 20 of minor (include/linux/kdev_t.h).
    const dev = Number.parseInt(device, 16);
    return { device: `${dev >>> 20}:${dev & 0xfffff}`, inode: Number.parseInt(inode, 16) };
  });
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function splitOnce(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

/** Spaces, tabs, newlines and backslashes stand as octal numbers. */
function unquote(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
