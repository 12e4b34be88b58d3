/** The channels of a replay: bytes one way, lines of JSON the other. */
import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import { DrayageError } from '../../errors.ts';
import type { BuildLine, ManifestLine } from './target-port.ts';

/** Lines of JSON as they come. */
export async function* jsonLines<T>(stream: AsyncIterable<Buffer | string>, schema: z.ZodType<T>): AsyncGenerator<T> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield schema.parse(JSON.parse(line));
  }
}

/** What comes, without an end to what goes. */
export async function* chunksOf(stream: Duplex): AsyncGenerator<Buffer> {
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
}

/** False where it is better to wait for room. */
export function send(stream: Duplex, line: BuildLine | ManifestLine): boolean {
  return stream.write(`${JSON.stringify(line)}\n`);
}

/** @throws DrayageError CHANNEL_CUT */
export function room(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.destroyed) return reject(new DrayageError('CHANNEL_CUT', 'The list of files is not taken any more.'));
    const settle = (): void => {
      stream.off('drain', settle);
      stream.off('close', settle);
      resolve();
    };
    stream.on('drain', settle);
    stream.on('close', settle);
  });
}
