/** Two answers of the engine's inspect, field by field. */

export interface Difference {
  /** Segments joined by dots; elements of lists by index. */
  path: string;
  a: unknown;
  b: unknown;
}

/** A field that may differ, with all below it. */
export interface Exception {
  /** `*` stands for any one segment. */
  path: string;
  /** The ways in which it may, `original` being the whole of `a`; the path is then that of a leaf. */
  only?: (a: unknown, b: unknown, original: unknown) => boolean;
}

/** Where two inspects differ, leaf by leaf, but for the exceptions. */
export function differences(a: unknown, b: unknown, except: readonly Exception[] = []): Difference[] {
  const exceptions = except.map(({ path, only }) => ({ pattern: path.split('.'), only }));
  const found: Difference[] = [];
  compare(a, b, [], (path, left, right) => {
    const allowed = exceptions.some(
      ({ pattern, only }) =>
        covers(pattern, path) && (only === undefined || (pattern.length === path.length && only(left, right, a))),
    );
    if (!allowed) found.push({ path: path.join('.'), a: left, b: right });
  });
  return found;
}

function compare(
  a: unknown,
  b: unknown,
  path: string[],
  differ: (path: string[], a: unknown, b: unknown) => void,
): void {
  const left = branches(a, path);
  const right = branches(b, path);
  if (left === undefined || right === undefined || Array.isArray(a) !== Array.isArray(b)) {
    if (JSON.stringify(a) !== JSON.stringify(b)) differ(path, a, b);
    return;
  }
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    compare(left[key], right[key], [...path, key], differ);
  }
}

function branches(value: unknown, path: string[]): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!Array.isArray(value)) return value as Record<string, unknown>;
  const key = UNORDERED.find(({ pattern }) => pattern.length === path.length && covers(pattern, path))?.key;
  const list = key === undefined ? value : value.toSorted((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1));
  return Object.fromEntries(list.entries());
}

/** Lists that the engine keeps in no order, and what tells their elements apart: of containers and of networks. */
const UNORDERED = [
  { pattern: ['Mounts'], key: 'Destination' },
  { pattern: ['NetworkSettings', 'Ports', '*'], key: 'HostIp' },
  { pattern: ['IPAM', 'Config'], key: 'Subnet' },
];

/** Keys may hold dots themselves (labels, sysctls); a pattern is only ever as long as the keys that it names. */
function covers(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length <= path.length && pattern.every((segment, index) => segment === '*' || segment === path[index]);
}
