/** Order of version numbers as programs, kernels and distributions write them. */

/** Below 0 where `a` is older: `4.1.1` before `4.2`, `26.1.5+dfsg1` equal to `26.1.5`. */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const difference = (one[i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The first two numbers: `6.18.44-cloud` is `6.18`. */
export function release(version: string): string {
  return numbers(version).slice(0, 2).join('.');
}

/** The dotted numbers at its beginning. */
function numbers(version: string): number[] {
  return (/^v?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? '0').split('.').map(Number);
}
