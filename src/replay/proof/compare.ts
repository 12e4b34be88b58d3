/** Pure: how much two file systems are alike, and every difference by name. */
import { exclusionOf } from './exclusions.ts';
import type { Entry, Manifest } from './manifest.ts';

export interface Difference {
  path: string;
  /** In words for people. */
  what: string;
  /** The built image has it, and the container has not. */
  isExtra: boolean;
}

export interface Comparison {
  /** Paths that were compared. */
  paths: number;
  /** In percent, with two decimals, rounded down: 100 only where all is alike. */
  score: number;
  differences: Difference[];
}

/** @param mounts where something is mounted into the container: the engine makes directories for it */
export function compare(container: Manifest, built: Manifest, mounts: readonly string[] = []): Comparison {
  const isOfMount = (path: string): boolean =>
    mounts.some((mount) => `${path}/`.startsWith(`${mount}/`) || (mount.startsWith(`${path}/`) && !built.has(path)));
  const paths = [...new Set([...container.keys(), ...built.keys()])]
    .filter((path) => exclusionOf(path) === undefined && !isOfMount(path))
    .sort();
  const differences = paths.flatMap((path) => {
    const what = differenceOf(container.get(path), built.get(path));
    return what === undefined ? [] : [{ path, what, isExtra: !container.has(path) }];
  });
  const alike = paths.length - differences.length;
  const score = paths.length === 0 ? 100 : Math.floor((alike / paths.length) * 10_000) / 100;
  return { paths: paths.length, score, differences };
}

function differenceOf(container: Entry | undefined, built: Entry | undefined): string | undefined {
  if (built === undefined) return 'is missing in the image';
  if (container === undefined) return 'is only in the image';
  if (container.type !== built.type) return `is a ${container.type}, and a ${built.type} in the image`;
  const parts: string[] = [];
  if (container.content !== built.content)
    parts.push(container.type === 'symlink' ? 'leads elsewhere' : 'other content');
  if (container.mode !== built.mode) parts.push(`mode ${octal(container.mode)}, in the image ${octal(built.mode)}`);
  if (container.uid !== built.uid || container.gid !== built.gid) {
    parts.push(`owner ${container.uid}:${container.gid}, in the image ${built.uid}:${built.gid}`);
  }
  return parts.length === 0 ? undefined : parts.join(', ');
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
