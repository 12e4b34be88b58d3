/**
 * What a replay needs of the host that it builds on. The source's agent calls it; losing the connection before `finish`
 * takes everything back.
 */
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { WorkloadFacts } from '../../engines/facts.ts';

/**
 * Streams: the image that the container was made of; a build context, answered by `BuildLine`s; nothing, answered by
 * the built image's files as `ManifestLine`s.
 */
export type ReplayChannel = 'image' | 'build' | 'manifest';

export interface OpenReplay {
  id: string;
  workload: WorkloadFacts;
}

export interface Finished {
  image: string;
  containerId?: string;
  notes: string[];
}

/** A name for the image that no other has. @param name of the container; a repository's may hold less */
export function imageName(name: string, id: string): string {
  const repository = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return `drayage-replay/${repository.replace(/-$/, '')}:${id}`;
}

export interface ReplayTarget {
  open(request: OpenReplay): Promise<void>;
  channel(id: string, what: ReplayChannel): Promise<Duplex>;
  /** The image is kept, under the returned name; with `start`, a container with the same configuration runs. */
  finish(id: string, start: boolean): Promise<Finished>;
  /** Takes everything back that was made. */
  abort(id: string, reason: string): Promise<void>;
}

export const buildLineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('step'), number: z.number(), of: z.number(), text: z.string() }),
  z.object({ type: z.literal('failed'), step: z.string(), message: z.string(), output: z.array(z.string()) }),
  z.object({ type: z.literal('built'), image: z.string() }),
]);
export type BuildLine = z.infer<typeof buildLineSchema>;

export const manifestLineSchema = z.tuple([
  z.string(),
  z.object({ type: z.string(), mode: z.number(), uid: z.number(), gid: z.number(), content: z.string() }),
]);
export type ManifestLine = z.infer<typeof manifestLineSchema>;
