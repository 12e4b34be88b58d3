/** Connects a program's standard input and output to a stream. How it went is the program's to tell. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Started } from '../exec/run.ts';

/** @param onSent told of every chunk that goes into the stream. */
export function bridge(stream: Duplex, program: Started, onSent: (bytes: number) => void = () => {}): void {
  const count = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      onSent(chunk.length);
      yield chunk;
    }
  };
  // Where the stream breaks the program's output closes under it.
  pipeline(program.stdout, count, stream).catch(() => {});
  // A program that fails takes no more input, but what it had to say must still arrive: its stream is not destroyed.
  const { stdin } = program;
  let isTaking = true;
  const takeNoMore = (): void => {
    isTaking = false;
    stream.resume();
  };
  stdin.once('error', takeNoMore).once('close', takeNoMore);
  stdin.on('drain', () => stream.resume());
  stream.on('data', (chunk: Buffer) => {
    if (isTaking && !stdin.write(chunk)) stream.pause();
  });
  stream.once('error', () => stdin.end());
  stream.once('end', () => stdin.end());
  stream.once('close', () => stdin.end());
}
