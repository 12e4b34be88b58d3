/** Copies that a migration left on its source: stopped, under a name that tells which workload moved and when. */
import type { ContainerSummary } from '../../tools/docker-types.ts';
import { nameOf } from './find.ts';

/** Where the workload of that name is kept after migration `id`. */
export function keptName(name: string, id: string): string {
  return `${name}-moved-${id}`;
}

/** Volumes that no container but kept copies uses: a workload that comes back may bring them up to date. */
export function keptVolumes(containers: readonly ContainerSummary[]): string[] {
  const kept = new Set<string>();
  const used = new Set<string>();
  for (const container of containers) {
    for (const { Type, Name } of container.Mounts ?? []) {
      if (Type === 'volume' && Name !== undefined) (isKept(container) ? kept : used).add(Name);
    }
  }
  return [...kept].filter((name) => !used.has(name));
}

/** Other containers than that of `id` which use one of the volumes, by the volume's name; kept copies do not count. */
export function volumeUsers(
  volumes: readonly string[],
  containers: readonly ContainerSummary[],
  id: string,
): Record<string, string[]> {
  const users: Record<string, string[]> = {};
  for (const container of containers) {
    if (container.Id === id || isKept(container)) continue;
    for (const { Type, Name = '' } of container.Mounts ?? []) {
      if (Type === 'volume' && volumes.includes(Name)) users[Name] = [...(users[Name] ?? []), nameOf(container)];
    }
  }
  return users;
}

function isKept(container: ContainerSummary): boolean {
  return /-moved-\d{8}-\d{6}-[0-9a-f]{4}$/.test(nameOf(container)) && container.State !== 'running';
}
