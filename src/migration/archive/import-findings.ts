/** Pure: what stands against an import, and what it costs: what already stood against the export was said then. */
import { type AnyWorkload, type HostFacts, isTree } from '../../engines/facts.ts';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import type { Finding } from '../finding.ts';
import { MOUNT_FINDINGS } from '../preflight/files.ts';
import { type Entry, raising } from '../preflight/finding-table.ts';
import { WORKLOAD_FINDINGS } from '../preflight/workload.ts';
import { preflightTarget } from '../preflight.ts';
import type { Manifest } from './manifest.ts';

/** @param occupied paths of its binds where there is something */
export function checkImport(manifest: Manifest, target: HostFacts, occupied: readonly string[]): Finding[] {
  const { workload, host, options, image, from, kind } = manifest;
  // Its clock was read when the archive was made, and its program only has to have known this format.
  const source = { ...host, time: target.time, drayage: target.drayage };
  return [
    ...(image ? [] : imageFindings(workload, target)),
    ...(kind === 'snapshot'
      ? [raise('SECOND_COPY', `${workload.ref.name} went on running on ${from.name} when this was written.`)]
      : []),
    ...(isPrivileged(workload)
      ? [
          raiseWorkload('PRIVILEGED', `${workload.ref.name} is privileged.`, {
            meaning: 'It may do whatever root may do.',
          }),
        ]
      : []),
    ...occupied.map((path) => raiseMount('BIND_CARRIED', `There is something at ${path} here.`, DELETED)),
    ...preflightTarget({ workload, source, target }, options),
  ];
}

function imageFindings(workload: AnyWorkload, target: HostFacts): Finding[] {
  if (isTree(workload) || target.docker?.images.some(({ id }) => id === workload.image.id)) return [];
  const { reference, id } = workload.image;
  return [raise('IMAGE_NOT_INSIDE', `The image ${reference} (${id}) is not on this host.`)];
}

const IMPORT_FINDINGS = {
  IMAGE_NOT_INSIDE: {
    severity: 'blocks',
    meaning: 'The archive was written with --no-image: it only names the image, which must be there beforehand.',
    remedy: 'Bring the image here with docker pull or docker load, then import again.',
  },
  SECOND_COPY: {
    severity: 'costs',
    meaning: 'The archive is a snapshot: what runs here after the import is a second copy, with the same identity.',
    remedy: 'See that the two do not do the same work twice: stop the other one, or keep this one to itself.',
  },
} as const satisfies Record<string, Entry>;

const DELETED = { meaning: 'The archive has files for that path: they take the place of whatever is there.' };

function isPrivileged(workload: AnyWorkload): boolean {
  return !isTree(workload) && (workload.inspect as Partial<ContainerInspect>).HostConfig?.Privileged === true;
}

const raise = raising(IMPORT_FINDINGS);
const raiseMount = raising(MOUNT_FINDINGS);
const raiseWorkload = raising(WORKLOAD_FINDINGS);
