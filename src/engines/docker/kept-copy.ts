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
    const isKept = /-moved-\d{8}-\d{6}-[0-9a-f]{4}$/.test(nameOf(container)) && container.State !== 'running';
    for (const { Type, Name } of container.Mounts ?? []) {
      if (Type === 'volume' && Name !== undefined) (isKept ? kept : used).add(Name);
    }
  }
  return [...kept].filter((name) => !used.has(name));
}
