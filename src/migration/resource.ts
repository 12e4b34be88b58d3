/**
 * What a migration makes on the target. Each is written to the journal before it is made, so that undo and recovery
 * after a crash know all there may be; removing one that was never made does nothing.
 */
import { access, rm } from 'node:fs/promises';
import { z } from 'zod';
import { removeGuard } from '../engines/docker/guard.ts';
import { removeBuiltImage, removeReceivedImage } from '../engines/docker/images.ts';
import { abortLeftRendezvous, removeRendezvous } from '../engines/docker/rendezvous.ts';
import { removeCgroup } from '../engines/process/own-cgroup.ts';
import { takeBackFiles } from '../engines/process/take-back-files.ts';
import { DrayageError } from '../errors.ts';
import type { Run } from '../exec/run.ts';
import type { Docker } from '../tools/docker.ts';
import { inNetworkOf } from '../tools/nsenter.ts';
import { unmountTmpfs } from '../tools/tmpfs.ts';
import { type ArrivingAddress, removeArrival } from '../traffic/address-arrival.ts';
import { removeTarget, type TargetSide } from '../traffic/forward.ts';
import type { Resource as JournalResource } from './journal-records.ts';

const resourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stage'), path: z.string() }),
  z.object({ kind: z.literal('image'), id: z.string(), tags: z.array(z.string()) }),
  // Of a replay: the image of a step by its id, or the last one by the tag that only this replay uses.
  z.object({ kind: z.literal('built'), name: z.string() }),
  z.object({ kind: z.literal('network'), name: z.string() }),
  z.object({ kind: z.literal('volume'), name: z.string() }),
  z.object({ kind: z.literal('directory'), path: z.string() }),
  // Made under a name that only this migration uses, then renamed.
  z.object({
    kind: z.literal('container'),
    temporaryName: z.string(),
    id: z.string().exactOptional(),
    restartPolicy: z.object({ Name: z.string(), MaximumRetryCount: z.number().exactOptional() }),
  }),
  z.object({ kind: z.literal('guard'), containerId: z.string() }),
  z.object({ kind: z.literal('rendezvous'), containerId: z.string() }),
  // `container`: the name of the copy.
  z.object({ kind: z.literal('address'), container: z.string(), arriving: z.custom<ArrivingAddress>() }),
  z.object({ kind: z.literal('forward'), id: z.string(), side: z.custom<TargetSide>() }),
  // Of trees of processes: a directory with carried files and what they replaced, a cgroup, a terminal's directory.
  z.object({ kind: z.literal('files'), path: z.string() }),
  // `values`: limits that the cgroup gets when the copy runs.
  z.object({
    kind: z.literal('cgroup'),
    path: z.string(),
    values: z.array(z.tuple([z.string(), z.string()])).exactOptional(),
  }),
  z.object({ kind: z.literal('terminal'), path: z.string() }),
]);
export type Resource = z.infer<typeof resourceSchema>;

/** As the journal keeps it. A container that got its id later is the same resource. */
export function toJournal(resource: Resource): JournalResource {
  switch (resource.kind) {
    case 'stage':
    case 'directory':
    case 'files':
    case 'cgroup':
    case 'terminal':
      return { ...resource, key: `${resource.kind}:${resource.path}` };
    case 'image':
      return { ...resource, key: `image:${resource.id}` };
    case 'built':
      return { ...resource, key: `built:${resource.name}` };
    case 'network':
    case 'volume':
      return { ...resource, key: `${resource.kind}:${resource.name}` };
    case 'container':
      return { ...resource, key: `container:${resource.temporaryName}` };
    case 'forward':
      return { ...resource, key: `forward:${resource.id}` };
    case 'address':
      return { ...resource, key: `address:${resource.arriving.id}` };
    case 'guard':
    case 'rendezvous':
      return { ...resource, key: `${resource.kind}:${resource.containerId}` };
    default:
      return resource satisfies never;
  }
}

/** @throws DrayageError JOURNAL_CORRUPT where it is none of ours. */
export function fromJournal(resource: JournalResource): Resource {
  const parsed = resourceSchema.safeParse(resource);
  if (!parsed.success)
    throw new DrayageError('JOURNAL_CORRUPT', `The journal names an unknown resource ${resource.key}.`);
  return parsed.data;
}

/** Removes it if it is there. */
export async function removeResource(resource: Resource, { docker, run }: { docker: Docker; run: Run }): Promise<void> {
  switch (resource.kind) {
    case 'stage':
      return unmountTmpfs(run, resource.path);
    case 'image':
      return removeReceivedImage(docker, resource);
    case 'built':
      return removeBuiltImage(docker, resource.name);
    case 'network':
      return ignoreMissing(docker.removeNetwork(resource.name));
    case 'volume':
      return ignoreMissing(docker.removeVolume(resource.name));
    case 'files':
      return takeBackFiles(resource.path);
    case 'cgroup':
      return removeCgroup(resource.path);
    case 'directory':
    case 'terminal':
      return access(resource.path).then(
        () => rm(resource.path, { recursive: true, force: true }),
        () => {},
      );
    case 'container':
      return ignoreMissing(docker.remove(resource.id ?? resource.temporaryName, { force: true }));
    case 'guard':
      return removeGuard(resource.containerId);
    case 'rendezvous':
      await abortLeftRendezvous(resource.containerId);
      return removeRendezvous(run, resource.containerId);
    case 'forward':
      return removeTarget(run, resource.side);
    case 'address':
      return removeArrival(run, await insideOf(docker, run, resource.container), resource.arriving);
    default:
      return resource satisfies never;
  }
}

/** The network namespace of a container, where it runs. */
async function insideOf(docker: Docker, run: Run, container: string): Promise<Run | undefined> {
  const { State: state } = await docker.inspect(container).catch(() => ({ State: undefined }));
  return state === undefined || state.Pid === 0 ? undefined : inNetworkOf(state.Pid, run);
}

/** What the engine does not have any more is as good as removed. */
export async function ignoreMissing(removal: Promise<void>): Promise<void> {
  await removal.catch((error: unknown) => {
    if (!(error instanceof DrayageError) || error.code !== 'DOCKER_NOT_FOUND') throw error;
  });
}
