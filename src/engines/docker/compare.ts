/** Two JSON documents, field by field. */

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
  /** The ways in which it may; the path is then that of a leaf. */
  only?: (a: unknown, b: unknown) => boolean;
}

/**
 * Where `a` and `b` differ, leaf by leaf, but for the exceptions. Mounts are compared by destination, because the
 * engine lists them in no order.
 */
export function differences(a: unknown, b: unknown, except: readonly Exception[] = []): Difference[] {
  const exceptions = except.map(({ path, only }) => ({ pattern: path.split('.'), only }));
  const found: Difference[] = [];
  compare(a, b, [], (path, left, right) => {
    const allowed = exceptions.some(
      ({ pattern, only }) =>
        covers(pattern, path) && (only === undefined || (pattern.length === path.length && only(left, right))),
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
  const list = path.join('.') === 'Mounts' ? value.toSorted(byDestination) : value;
  return Object.fromEntries(list.entries());
}

function byDestination(a: { Destination: string }, b: { Destination: string }): number {
  return a.Destination < b.Destination ? -1 : 1;
}

/** Keys may hold dots themselves (labels, sysctls); a pattern is only ever as long as the keys that it names. */
function covers(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length <= path.length && pattern.every((segment, index) => segment === '*' || segment === path[index]);
}
