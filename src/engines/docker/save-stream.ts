/** The stream of `docker save`: a tar of an OCI layout, since Docker 25. */
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Pack, pack } from 'tar-stream';

export interface ReduceOptions {
  signal?: AbortSignal | undefined;
  /** Bytes written so far. */
  onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * Copies a saved image to `out`, which it ends, without the files of the layers in `known` (diff ids) and without a
 * second copy of any file; nothing is held but the piece that is under way. Layers have another name than their diff id
 * in what Docker 24 saves, and where the containerd image store keeps them compressed: there all is copied.
 * @returns bytes written
 */
export async function reduceSave(
  saved: Readable,
  known: ReadonlySet<string>,
  out: Writable,
  { signal, onProgress }: ReduceOptions = {},
): Promise<number> {
  const reduced = pack();
  // A failure in here comes out of `reduced`, and so of the pipeline.
  const copied = copyEntries(saved, known, reduced).catch((error: Error) => reduced.destroy(error));
  const count = { bytes: 0 };
  try {
    // A pipeline says of such a one only that it cannot be written to.
    if (out.errored) throw out.errored;
    const source = Readable.from(counted(reduced, count, onProgress), { objectMode: false });
    await pipeline(source, out, signal === undefined ? {} : { signal });
    return count.bytes;
  } finally {
    // Where `out` failed, the copying waits for room that never comes.
    saved.destroy();
    reduced.destroy();
    await copied;
  }
}

async function copyEntries(saved: Readable, known: ReadonlySet<string>, to: Pack): Promise<void> {
  const entries = extract();
  saved.on('error', (error) => entries.destroy(error));
  saved.on('close', () => {
    if (!saved.readableEnded) entries.destroy(new Error('The image was cut off.'));
  });
  saved.pipe(entries);
  const seen = new Set<string>();
  for await (const entry of entries) {
    const { name, type } = entry.header;
    if (seen.has(name) || (type === 'file' && known.has(digestOf(name)))) {
      entry.resume();
      continue;
    }
    seen.add(name);
    const copy = to.entry(entry.header);
    copy.on('error', () => {}); // What breaks it has broken `to`, which tells.
    for await (const chunk of entry) {
      if (!copy.write(chunk)) await room(copy);
    }
    copy.end(null);
  }
  to.finalize();
}

/** Until `sink` takes more, or never will: a write to it does nothing then. */
function room(sink: ReturnType<Pack['entry']>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (sink.destroying) {
      reject(new Error('The image is not taken any more.'));
      return;
    }
    const settle = (): void => {
      sink.off('drain', settle);
      sink.off('close', settle);
      resolve();
    };
    sink.on('drain', settle);
    sink.on('close', settle);
  });
}

/** `blobs/sha256/4b91…` is `sha256:4b91…`. */
function digestOf(name: string): string {
  const [, algorithm, hex] = /^(?:\.\/)?blobs\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
  return `${algorithm}:${hex}`;
}

async function* counted(
  stream: Pack,
  count: { bytes: number },
  onProgress: ReduceOptions['onProgress'],
): AsyncGenerator<Buffer> {
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    count.bytes += chunk.length;
    onProgress?.(count.bytes);
    yield chunk;
  }
}
