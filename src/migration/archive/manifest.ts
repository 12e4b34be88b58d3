/** What the first document of an archive says. */
import { z } from 'zod';
import type { AnyWorkload, HostFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import type { MigrateOptions } from '../events.ts';
import { migrationIdSchema } from '../journal-records.ts';

export const FORMAT = 1;

export interface Manifest {
  format: typeof FORMAT;
  /** Of the export: whoever imports it keeps it, so that it is not imported twice. */
  id: string;
  /** Unix time in milliseconds. */
  createdAt: number;
  /** Version of the program that wrote it. */
  drayage: string;
  /** Whether the source's copy was stopped for good, or went on. */
  kind: 'export' | 'snapshot';
  /** Where it was written. */
  from: { name: string; machine: string };
  /** That host, without what is of others there. */
  host: HostFacts;
  workload: AnyWorkload;
  options: MigrateOptions;
  /** Whether the image is inside, with all its layers, or only named. Of processes without an engine it says nothing. */
  image: boolean;
}

/** What is not checked here the target checks when the import begins. */
const schema = z.looseObject({
  format: z.number(),
  id: migrationIdSchema,
  createdAt: z.number(),
  drayage: z.string(),
  kind: z.enum(['export', 'snapshot']),
  from: z.object({ name: z.string(), machine: z.string() }),
  host: z.looseObject({ hostname: z.string(), arch: z.string(), kernel: z.string() }),
  workload: z.looseObject({ ref: z.object({ engine: z.string(), name: z.string() }) }),
  options: z.looseObject({}),
  image: z.boolean(),
});

/** @throws DrayageError ARCHIVE_FOREIGN for one of a newer format, ARCHIVE_DAMAGED for what is none. */
export function parseManifest(value: unknown): Manifest {
  const format = (value as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > FORMAT)
    throw new DrayageError('ARCHIVE_FOREIGN', `The archive has format ${format}; this drayage knows up to ${FORMAT}.`);
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new DrayageError('ARCHIVE_DAMAGED', 'The archive does not say what it holds.');
  return parsed.data as unknown as Manifest;
}

/** What each stream is, in the document `NN-purpose.json` before its first piece. */
export const streamSchema = z.object({
  purpose: z.enum(['image', 'tar', 'changes', 'logs', 'memory']),
  meta: z.record(z.string(), z.unknown()),
});
export type StreamHead = z.infer<typeof streamSchema>;

export const startSchema = z.object({ descriptors: z.array(z.string()).max(1024) });

export const DOCUMENTS = { contents: 'contents.json', start: 'start.json' } as const;
