import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { extract, pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { reduceSave } from './save-stream.ts';

const LAYER_A = 'a'.repeat(64);
const LAYER_B = 'b'.repeat(64);

/** As `docker save` of Docker 26 and 28 writes it. */
function saved(layerBytes = 5000): Readable {
  const tar = pack();
  tar.entry({ name: 'blobs/', type: 'directory' });
  tar.entry({ name: 'blobs/sha256/', type: 'directory' });
  tar.entry({ name: `blobs/sha256/${LAYER_A}` }, Buffer.alloc(layerBytes, 'A'));
  tar.entry({ name: `blobs/sha256/${LAYER_B}` }, Buffer.alloc(layerBytes, 'B'));
  tar.entry({ name: `blobs/sha256/${LAYER_B}` }, 'again');
  tar.entry({ name: `blobs/sha256/${'c'.repeat(64)}` }, '{"config":1}');
  tar.entry({ name: 'link', type: 'symlink', linkname: 'manifest.json' });
  tar.entry({ name: 'manifest.json' }, '[]');
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
}

async function contents(tar: Buffer): Promise<Record<string, number>> {
  const entries = extract();
  entries.end(tar);
  const names: Record<string, number> = {};
  for await (const entry of entries) {
    names[entry.header.name] = entry.header.size;
    entry.resume();
  }
  return names;
}

describe('a saved image', () => {
  test('loses the layers that are known and second copies, and keeps the rest', async () => {
    const out = new PassThrough();
    const progress: number[] = [];
    const [all, bytes] = await Promise.all([
      buffer(out),
      reduceSave(saved(), new Set([`sha256:${LAYER_A}`]), out, { onProgress: (sent) => progress.push(sent) }),
    ]);
    expect(bytes).toBe(all.length);
    expect(progress.at(-1)).toBe(bytes);
    expect(await contents(all)).toEqual({
      'blobs/': 0,
      'blobs/sha256/': 0,
      [`blobs/sha256/${LAYER_B}`]: 5000,
      [`blobs/sha256/${'c'.repeat(64)}`]: 12,
      link: 0,
      'manifest.json': 2,
    });
  });

  test('passes through a reader that is slow, without being held', async () => {
    let taken = 0;
    const slow = new Writable({
      highWaterMark: 1 << 16,
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.length;
        setTimeout(done, 1);
      },
    });
    const whole = await buffer(saved(8 << 20));
    let held = 0;
    const pieces = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < whole.length; at += 1 << 16) {
        held = Math.max(held, at - taken);
        yield whole.subarray(at, at + (1 << 16));
      }
    };
    await reduceSave(Readable.from(pieces(), { objectMode: false }), new Set(), slow);
    expect(taken).toBeGreaterThan(16 << 20);
    // The buffers of a few streams.
    expect(held).toBeLessThan(1 << 20);
  });

  test.each([0, 1, 20])('that nobody takes any more fails with the reason (%i ms)', async (ms) => {
    let taken = 0;
    // Takes some and then no more, however long this machine lets the test wait.
    const write = (chunk: Buffer, _encoding: string, done: () => void): void => {
      taken += chunk.length;
      if (taken < 1 << 20) setTimeout(done, 1);
    };
    const out = new Writable({ highWaterMark: 1 << 16, write });
    const sending = reduceSave(saved(16 << 20), new Set(), out);
    await sleep(ms);
    out.destroy(new Error('link lost'));
    await expect(sending).rejects.toThrow('link lost');
  });

  test('that nobody took from the beginning fails with the reason', async () => {
    const out = new PassThrough().on('error', () => {});
    out.destroy(new Error('link lost'));
    await sleep(1);
    await expect(reduceSave(saved(1 << 20), new Set(), out)).rejects.toThrow('link lost');
  });

  test('that breaks off fails with the reason', async () => {
    const whole = await buffer(saved(1 << 20));
    const cut = new PassThrough();
    const sending = reduceSave(cut, new Set(), new PassThrough().resume());
    cut.write(whole.subarray(0, 1 << 20));
    await sleep(5);
    cut.destroy(new Error('engine died'));
    await expect(sending).rejects.toThrow('engine died');
    const short = new PassThrough();
    short.end(whole.subarray(0, 1 << 20));
    await expect(reduceSave(short, new Set(), new PassThrough().resume())).rejects.toThrow();
  });

  test('can be given up', async () => {
    const controller = new AbortController();
    const sending = reduceSave(saved(1 << 20), new Set(), new PassThrough(), { signal: controller.signal });
    await sleep(5);
    controller.abort();
    await expect(sending).rejects.toMatchObject({ name: 'AbortError' });
  });
});
