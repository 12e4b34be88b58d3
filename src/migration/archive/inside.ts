/** What is in an archive, without making anything of it. */

import { z } from 'zod';
import { decrypted, type Key } from '../../archive/encryption.ts';
import { StreamInput } from '../../archive/input.ts';
import { damaged, MANIFEST } from '../../archive/layout.ts';
import { readArchive } from '../../archive/reader.ts';
import { isTree } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import { type Contents, contentsSchema } from './contents.ts';
import { DOCUMENTS, type Manifest, parseManifest, streamSchema } from './manifest.ts';

export interface Inside extends Contents {
  manifest: Omit<Manifest, 'workload' | 'image'> & {
    workload: string;
    /** Null of processes that are in no container. */
    image: { id: string; reference: string; inside: boolean } | null;
  };
  /** `NAME=value` of the container's configuration. */
  environment: string[];
  streams: { name: string; what: string; storedBytes: number }[];
}

/** Reads all of it. @throws DrayageError where it is not whole, or none */
export async function lookInto(input: AsyncIterable<Buffer>, key: Key | undefined): Promise<Inside> {
  let manifest: Manifest | undefined;
  let contents: Contents = { processes: [], sockets: [] };
  const streams = new Map<string, Inside['streams'][number]>();
  for await (const entry of readArchive(new StreamInput(readable(decrypted(input, key))), { wants: () => false })) {
    if (entry.kind === 'chunk') {
      const stream = streams.get(entry.stream);
      if (stream !== undefined) stream.storedBytes += entry.stored;
      continue;
    }
    const name = /^(\d+-[a-z]+)\.json$/.exec(entry.name)?.[1];
    if (name !== undefined) streams.set(name, { name, what: purposeOf(entry.value), storedBytes: 0 });
    if (entry.name === MANIFEST) manifest = parseManifest(entry.value);
    if (entry.name === DOCUMENTS.contents) contents = parsed(contentsSchema, entry.value, entry.name);
  }
  if (manifest === undefined) throw new DrayageError('ARCHIVE_DAMAGED', 'The archive does not say what it holds.');
  const { workload, image: inside, ...rest } = manifest;
  return {
    manifest: {
      ...rest,
      workload: `${workload.ref.engine}:${workload.ref.name}`,
      image: isTree(workload) ? null : { id: workload.image.id, reference: workload.image.reference, inside },
    },
    ...contents,
    environment: isTree(workload) ? [] : (parsed(configSchema, workload.inspect, MANIFEST).Config.Env ?? []),
    streams: [...streams.values()],
  };
}

const configSchema = z.object({ Config: z.object({ Env: z.array(z.string()).nullish() }) });

/** @throws DrayageError ARCHIVE_DAMAGED */
function parsed<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const result = schema.safeParse(value);
  if (!result.success) throw damaged(`${name} is not to be understood`, result.error);
  return result.data;
}

/** With the names of the environment only. */
export function withoutValues(inside: Inside): Inside {
  return {
    ...inside,
    environment: namesOf(inside.environment),
    processes: inside.processes.map((process) => ({ ...process, environment: namesOf(process.environment) })),
  };
}

function namesOf(environment: readonly string[]): string[] {
  return environment.map((line) => line.replace(/=.*$/s, ''));
}

function purposeOf(head: unknown): string {
  const said = streamSchema.safeParse(head);
  if (!said.success) return '';
  const { purpose, meta } = said.data;
  return [purpose, meta.key, meta.pass].filter((word) => typeof word === 'string').join(' ');
}

async function* readable(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* input;
  } catch (error) {
    if (error instanceof DrayageError) throw error;
    throw new DrayageError('ARCHIVE_READ', `The archive cannot be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
