/** A write that comes to an end in any case. */
import { finished, type Writable } from 'node:stream';

/**
 * Resolves when the write has called back. Its callback alone is not enough: it does not always come where a stream
 * breaks, of a pair (`duplexPair`) say.
 * @throws what the stream failed with
 */
export function written(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.errored) return reject(stream.errored);
    const forget = finished(stream, { readable: false }, (error) => (error ? reject(error) : undefined));
    stream.write(bytes, (error) => {
      forget();
      if (error) reject(stream.errored ?? error);
      else resolve();
    });
  });
}
