/** An image on its way to another engine: `docker save`, without what is there, into `docker load`. */
import { Readable, type Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../../errors.ts';
import { type Docker, isNotFound } from '../../tools/docker.ts';
import type { WorkloadFacts } from '../facts.ts';
import { missingLayers } from './layers.ts';
import { reduceSave } from './save-stream.ts';

const BUILD_ATTEMPTS = 20;
const BUILD_WAIT_MS = 250;

export interface SendImageOptions {
  signal?: AbortSignal;
  /** Bytes sent so far. */
  onProgress?: (bytes: number) => void;
}

/** What a migration brought to the target's engine. */
export interface ReceivedImage {
  id: string;
  /** Tags that it gave. */
  tags: string[];
}

/**
 * Sends the image and ends `out`. A load takes a layer that the engine has (by chain id) from there without looking
 * at its file, so those files are left out; the manifests that name them stay. The image is saved by its id, so no tag
 * travels with it.
 */
export async function sendImage(
  docker: Docker,
  image: Pick<WorkloadFacts['image'], 'id' | 'layers'>,
  targetChainIds: Iterable<string>,
  out: Writable,
  { signal, onProgress }: SendImageOptions = {},
): Promise<{ bytes: number }> {
  out.on('error', () => {}); // Until it is written to; whoever writes is told.
  const needed = new Set(missingLayers(image.layers, targetChainIds));
  const known = new Set(image.layers.filter((layer) => !needed.has(layer)));
  const saved = await docker.saveImage(image.id, { signal });
  return { bytes: await reduceSave(saved, known, out, { signal, onProgress }) };
}

/**
 * Loads an image and gives it those of `tags` that name nothing here: a tag of this engine is never moved.
 * @throws DrayageError IMAGE_NOT_RECEIVED where the stream broke, or the load brought something else
 */
export async function receiveImage(
  docker: Docker,
  input: Readable,
  { id, tags }: ReceivedImage,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ReceivedImage> {
  input.on('error', () => {}); // Until it is read; whoever reads it is told.
  const before = new Set((await docker.images({ signal })).map((image) => image.Id));
  const said = await load(docker, input, signal);
  if ((await idOf(docker, id, signal)) === undefined) {
    const [other] = said.match(/sha256:[0-9a-f]{64}/) ?? [];
    if (other !== undefined && !before.has(other)) await removeUnused(docker, other);
    throw new DrayageError(
      'IMAGE_NOT_RECEIVED',
      `The image ${id} is not there after docker load (${said || 'no image'}).`,
    );
  }
  const given: string[] = [];
  for (const tag of tags) {
    if ((await idOf(docker, tag, signal)) !== undefined) continue;
    await docker.tagImage(id, tag, { signal });
    given.push(tag);
  }
  return { id, tags: given };
}

/**
 * Undo of a receive; what is not there, or names another image by now, is left alone, and so is an image that has got
 * other tags or containers meanwhile.
 */
export async function removeReceivedImage(docker: Docker, { id, tags }: ReceivedImage): Promise<void> {
  for (const tag of tags) {
    if ((await idOf(docker, tag)) === id) await removeUnused(docker, tag);
  }
  const left = await docker.inspectImage(id).catch(nothingIfNotFound);
  if (left !== undefined && (left.RepoTags ?? []).length === 0) await removeUnused(docker, id);
}

/**
 * Undo of a step of a build. The image that it was made of, which may have no name, stays, and so does what somebody
 * uses by now. A build that was cut short needs a moment to remove its own container.
 */
export async function removeBuiltImage(docker: Docker, name: string): Promise<void> {
  for (let attempt = 0; attempt < BUILD_ATTEMPTS; attempt++) {
    if (await isRemoved(docker, name, { keepParents: true })) return;
    await sleep(BUILD_WAIT_MS);
  }
}

async function load(docker: Docker, input: Readable, signal: AbortSignal | undefined): Promise<string> {
  let broken: unknown;
  const watched = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* input;
    } catch (error) {
      broken = error;
      throw error;
    }
  };
  try {
    return await docker.loadImage(Readable.from(watched(), { objectMode: false }), { signal });
  } catch (error) {
    signal?.throwIfAborted();
    // Else it would look like a failure of the engine.
    if (broken === undefined) throw error;
    throw new DrayageError('IMAGE_NOT_RECEIVED', `The image was cut off on its way (${(broken as Error).message}).`, {
      cause: broken,
    });
  }
}

async function idOf(docker: Docker, name: string, signal?: AbortSignal): Promise<string | undefined> {
  return (await docker.inspectImage(name, { signal }).catch(nothingIfNotFound))?.Id;
}

async function removeUnused(docker: Docker, name: string): Promise<void> {
  await isRemoved(docker, name);
}

/** False where a container uses it, or another image is made of it: not ours, which are removed before. */
async function isRemoved(docker: Docker, name: string, options?: { keepParents: boolean }): Promise<boolean> {
  try {
    await docker.removeImage(name, options);
  } catch (error) {
    if (error instanceof DrayageError && error.code === 'DOCKER_REFUSED') return false;
    if (!isNotFound(error)) throw error;
  }
  return true;
}

function nothingIfNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}
