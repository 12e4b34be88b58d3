/** `/proc/<pid>/mountinfo` and `/proc/<pid>/cgroup`, as proc_pid_mountinfo(5) and cgroups(7) describe them. */

export interface MountEntry {
  /** Directory of its file system that is mounted. */
  root: string;
  mountPoint: string;
  type: string;
  /** Options of the file system: `upperdir=…`, or the controllers of a v1 hierarchy. */
  options: string[];
}

export function parseMountinfo(text: string): MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      // Any number of optional fields stands before the dash.
      const [mount = '', fileSystem = ''] = line.split(' - ', 2);
      const [, , , root = '', mountPoint = ''] = mount.split(' ');
      const [type = '', , options = ''] = fileSystem.split(' ');
      return {
        root: unescapeField(root),
        mountPoint: unescapeField(mountPoint),
        type,
        options: options.split(',').map(unescapeField),
      };
    });
}

/** The writable directory of an overlay that is the root file system; undefined where it is none. */
export function upperDirOfRoot(mounts: readonly MountEntry[]): string | undefined {
  // The last one mounted on a point is the one that is seen.
  const root = mounts.findLast((mount) => mount.mountPoint === '/');
  if (root?.type !== 'overlay') return undefined;
  return root.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length);
}

/** Directory of the cgroup by which a process is frozen; see controllerPath. */
export function freezerPath(cgroups: string, mounts: readonly MountEntry[]): string | undefined {
  return controllerPath('freezer', cgroups, mounts);
}

/**
 * Directory of the cgroup by which a process is controlled: of the controller's v1 hierarchy where that is mounted, else
 * of the unified one; undefined where neither can be seen from here.
 * @param cgroups `/proc/<pid>/cgroup`
 * @param mounts what the reader has mounted
 */
export function controllerPath(controller: string, cgroups: string, mounts: readonly MountEntry[]): string | undefined {
  const lines = cgroups.split('\n').map((line) => line.split(':'));
  const own = lines.find(([, controllers = '']) => controllers.split(',').includes(controller));
  const mount = mounts.find((entry) => entry.type === 'cgroup' && entry.options.includes(controller));
  if (own !== undefined && mount !== undefined) return below(mount, own.slice(2).join(':'));
  const unified = lines.find(([hierarchy]) => hierarchy === '0');
  const unifiedMount = mounts.find((entry) => entry.type === 'cgroup2');
  if (unified === undefined || unifiedMount === undefined) return undefined;
  return below(unifiedMount, unified.slice(2).join(':'));
}

function below({ root, mountPoint }: MountEntry, path: string): string | undefined {
  if (root === '/') return mountPoint + path;
  return path.startsWith(`${root}/`) ? mountPoint + path.slice(root.length) : undefined;
}

function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
