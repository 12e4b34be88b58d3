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

export interface ReplayTarget {
  open(request: OpenReplay): Promise<void>;
  channel(id: string, what: ReplayChannel): Promise<Duplex>;
  /** The image is kept, under the returned name; with `start`, a container with the same configuration runs. */
  finish(id: string, start: boolean): Promise<{ image: string; containerId?: string; notes: string[] }>;
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

/** Lines of JSON as they come. */
export async function* jsonLines<T>(stream: AsyncIterable<Buffer | string>, schema: z.ZodType<T>): AsyncGenerator<T> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield schema.parse(JSON.parse(line));
  }
}
