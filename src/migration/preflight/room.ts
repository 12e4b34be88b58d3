/** Whether there is room for what comes: memory on both hosts, disk on the target. */
import type { Finding } from '../finding.ts';
import { makePlan } from '../plan.ts';
import type { Case, SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

/** Images are written to tmpfs on the source. */
export function checkOwnRoom({ workload, source }: SourceCase): Finding[] {
  const needed = workload.memoryBytes;
  if (source.memoryAvailable >= needed) return [];
  return [
    raise(
      'MEMORY_SHORT_HERE',
      `${source.hostname} has ${size(source.memoryAvailable)} of free memory, ${size(needed)} are needed.`,
    ),
  ];
}

/** On the target images are in tmpfs beside the restored processes; an image that is loaded is unpacked beside itself. */
export function checkRoom(c: Case): Finding[] {
  const { target } = c;
  const plan = makePlan(c, c.options);
  const memory = 2 * plan.memoryBytes;
  const disk = 2 * plan.image.bytes + plan.trees.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...(target.memoryAvailable < memory
      ? [
          raise(
            'MEMORY_SHORT',
            `${target.hostname} has ${size(target.memoryAvailable)} of free memory, ${size(memory)} are needed.`,
          ),
        ]
      : []),
    ...(target.diskAvailable < disk
      ? [
          raise(
            'DISK_SHORT',
            `${target.hostname} has ${size(target.diskAvailable)} of free disk, about ${size(disk)} are needed.`,
          ),
        ]
      : []),
  ];
}

export const ROOM_FINDINGS = {
  MEMORY_SHORT_HERE: {
    severity: 'blocks',
    meaning: 'Until they are sent, the images of the memory are kept in memory, beside the workload itself.',
    remedy: 'Free memory on this host, or add swap.',
  },
  MEMORY_SHORT: {
    severity: 'blocks',
    meaning: 'While the copy is restored, its memory is there twice: as images and in the processes.',
    remedy: 'Free memory on the target, or add swap.',
  },
  DISK_SHORT: {
    severity: 'blocks',
    meaning: "The container's image, files and volumes go to the file system of Docker's data there.",
    remedy: 'Free disk on the target, e.g. with docker system prune.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(ROOM_FINDINGS);

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
