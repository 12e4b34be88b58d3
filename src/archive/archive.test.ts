import { hash, randomBytes } from 'node:crypto';
import { mkdtempDisposableSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { FileInput, StreamInput } from './input.ts';
import { BLOCK, CHUNK } from './layout.ts';
import { type Entry, type ReadOptions, readArchive } from './reader.ts';
import { ArchiveWriter } from './writer.ts';

describe('an archive', () => {
  it('gives back documents and streams, streams that were written at the same time too', async () => {
    const long = randomBytes(2 * CHUNK + 12345);
    const archive = await write(async (writer) => {
      await writer.document('manifest.json', { a: 1 });
      const [one, two] = [writer.stream('01-image'), writer.stream('02-memory')];
      for (let at = 0; at < long.length; at += 100_000) one.write(long.subarray(at, at + 100_000));
      two.end('short');
      await finished(two);
      one.end();
      await finished(one);
      await writer.document('end.json', 'the end');
    });
    const { documents, streams } = await collect(archive);
    expect(documents).toEqual({ 'manifest.json': { a: 1 }, 'end.json': 'the end' });
    expect(streams.get('01-image')?.equals(long)).toBe(true);
    expect(streams.get('02-memory')?.toString()).toBe('short');
  });

  it('keeps streams of any length apart, in pieces of any size', async () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 3 * 70_000 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.integer({ min: 1, max: 100_000 }), async (sizes, piece) => {
        const contents = sizes.map((size) => randomBytes(size));
        const archive = await write((writer) =>
          Promise.all(contents.map((content, i) => put(writer.stream(`0${i}-image`), content, piece))),
        );
        const { streams } = await collect(archive, piece);
        expect(contents.map((content, i) => streams.get(`0${i}-image`)?.equals(content))).toEqual(
          sizes.map(() => true),
        );
      }),
      { numRuns: 30 },
    );
  });

  it('leaves what it has written alone until that is taken', async () => {
    const written: Buffer[] = [];
    const slow = new Writable({
      highWaterMark: 1 << 20,
      write: (piece: Buffer, _encoding, done) =>
        setTimeout(() => {
          written.push(Buffer.from(piece));
          done();
        }, 1),
    });
    const writer = new ArchiveWriter(slow, { keepsNothing: true });
    const contents = [randomBytes(6 * CHUNK + 1), Buffer.alloc(5 * CHUNK, 'text '), randomBytes(3 * CHUNK)];
    await Promise.all(contents.map((content, i) => put(writer.stream(`0${i}-memory`), content, 300_000)));
    await writer.finish();
    const { streams } = await collect(Buffer.concat(written));
    expect(contents.map((content, i) => streams.get(`0${i}-memory`)?.equals(content))).toEqual([true, true, true]);
  });

  it('takes no more than some pieces while its file takes nothing', async () => {
    const writer = new ArchiveWriter(new Writable({ write() {} }));
    const stream = writer.stream('01-memory');
    const piece = randomBytes(CHUNK);
    let taken = 0;
    const put = () => void stream.write(piece, () => ++taken < 64 && put());
    put();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(taken).toBeLessThan(16);
    stream.on('error', () => {});
    writer.destroy(new Error('over'));
  });

  it('fails all of its streams where nothing can be written any more, also those that wait', async () => {
    const writer = new ArchiveWriter(new Writable({ write() {} }));
    const streams = Array.from({ length: 7 }, (_, i) => writer.stream(`0${i}-tar`));
    const failures = streams.map((stream) => finished(stream).catch((error: Error) => error.message));
    for (const stream of streams) stream.end(randomBytes(CHUNK + 1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    writer.destroy(new Error('it is full'));
    expect(await Promise.all(failures)).toEqual(streams.map(() => 'it is full'));
  });

  it('is a tar that any tar reads', async () => {
    const names: string[] = [];
    const tar = extract();
    tar.on('entry', (header, stream, next) => {
      names.push(header.name);
      stream.on('end', next).resume();
    });
    tar.end((await small()).subarray(0, -BLOCK)); // This tar, unlike others, reads on after the end.
    await finished(tar as unknown as Writable);
    expect(names).toEqual(['drayage-archive-1', 'manifest.json', '01-image.zst/000000.last']);
  });

  it('is refused when it is cut short anywhere', async () => {
    const archive = await small();
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 5000 }), async (length, piece) => {
        expect(await refusal(archive.subarray(0, length), piece)).toMatch(/^ARCHIVE_(DAMAGED|FOREIGN)$/);
      }),
    );
  });

  it('is refused when any byte of it is another', async () => {
    const archive = await small();
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
        const altered = Buffer.from(archive);
        altered[at] = (altered[at] as number) ^ by;
        expect(await refusal(altered)).toMatch(/^ARCHIVE_(DAMAGED|FOREIGN)$/);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused when something follows it', async () => {
    expect(await refusal(Buffer.concat([await small(), Buffer.alloc(1)]))).toBe('ARCHIVE_DAMAGED');
  });

  it('is refused when it is something else', async () => {
    for (const other of ['', 'x', randomBytes(5000), Buffer.alloc(5000), 'drayage-archive-2'.padEnd(4096)])
      expect(await refusal(Buffer.from(other))).toBe('ARCHIVE_FOREIGN');
  });

  it('hands nothing altered on before it has found that out', async () => {
    const archive = await small();
    const altered = Buffer.from(archive);
    const at = archive.indexOf('the image');
    const place = at < 0 ? archive.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])) + 12 : at;
    altered[place] = (altered[place] as number) ^ 1;
    const seen: string[] = [];
    await expect(
      (async () => {
        for await (const entry of bothWays(altered)) seen.push(entry.kind);
      })(),
    ).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
    expect(seen).not.toContain('chunk');
  });

  it('is refused when it is cut short or altered within a piece', async () => {
    const archive = await write((writer) => put(writer.stream('01-memory'), randomBytes(CHUNK + (1 << 20)), CHUNK));
    for (const at of [CHUNK / 2, CHUNK + (1 << 19)]) {
      expect(await refusal(archive.subarray(0, at), CHUNK)).toBe('ARCHIVE_DAMAGED');
      const altered = Buffer.from(archive);
      altered[at] = (altered[at] as number) ^ 1;
      expect(await refusal(altered, CHUNK)).toBe('ARCHIVE_DAMAGED');
    }
  });

  it('is checked also where its content is not wanted', async () => {
    const archive = await write(async (writer) => {
      for (const i of [1, 2]) await put(writer.stream(`0${i}-memory`), randomBytes(CHUNK), CHUNK);
    });
    const wants = (stream: string): boolean => stream === '02-memory';
    const lengths = [];
    for await (const entry of bothWays(archive, CHUNK, { wants }))
      lengths.push((entry as { bytes?: Buffer }).bytes?.length);
    expect(lengths).toEqual([undefined, undefined, CHUNK, 0]);
    archive[CHUNK / 2] = (archive[CHUNK / 2] as number) ^ 1;
    await expect(all(bothWays(archive, CHUNK, { wants }))).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
    });
  });

  it('that cannot be read is no damaged one', async () => {
    const archive = await write((writer) => put(writer.stream('01-memory'), randomBytes(CHUNK), CHUNK));
    const file = { fd: 1_000_000, read: readFrom(archive) } as unknown as FileHandle;
    const reading = all(readArchive(new FileInput(file, archive.length)));
    await expect(reading).rejects.toThrow(/EBADF/);
  });

  it('tells what is wrong with what it is written to', async () => {
    const full = new Writable({ write: (_chunk, _encoding, done) => done(new Error('ENOSPC')) });
    const writer = new ArchiveWriter(full);
    const stream = writer.stream('01-image');
    stream.on('error', () => {});
    stream.end(randomBytes(100));
    await expect(finished(stream).then(() => writer.finish())).rejects.toThrow('ENOSPC');
  });
});

function small(): Promise<Buffer> {
  return write(async (writer) => {
    await writer.document('manifest.json', { from: 'here' });
    await put(writer.stream('01-image'), Buffer.from('the image'), 4);
  });
}

async function write(fill: (writer: ArchiveWriter) => Promise<unknown>): Promise<Buffer> {
  const out: Buffer[] = [];
  const sink = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      out.push(Buffer.from(piece));
      setImmediate(done);
    },
  });
  const writer = new ArchiveWriter(sink);
  await fill(writer);
  await writer.finish();
  return Buffer.concat(out);
}

async function put(stream: Writable, content: Buffer, piece: number): Promise<void> {
  for (let at = 0; at < content.length; at += piece) stream.write(content.subarray(at, at + piece));
  stream.end();
  await finished(stream);
}

/** To be compared in little time. */
function digested(entry: Entry): unknown {
  return 'bytes' in entry && entry.bytes !== undefined ? { ...entry, bytes: hash('sha256', entry.bytes) } : entry;
}

/** As a stream, and as a file in the same way, entry by entry, to the same end. */
async function* bothWays(archive: Buffer, size?: number, options: ReadOptions = {}): AsyncGenerator<Entry> {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'drayage-'));
  const path = join(directory.path, 'archive');
  await writeFile(path, archive);
  await using file = await open(path);
  const ofFile = readArchive(new FileInput(file, archive.length), options);
  const next = () =>
    ofFile.next().then(
      ({ value }) => value && digested(value),
      (error: Error) => error,
    );
  try {
    for await (const entry of readArchive(new StreamInput(pieces(archive, size)), options)) {
      expect(await next()).toEqual(digested(entry));
      yield entry;
    }
  } catch (error) {
    expect(await next()).toEqual(error);
    throw error;
  }
  expect(await next()).toBe(undefined);
}

async function* pieces(archive: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
}

async function collect(archive: Buffer, size?: number) {
  const documents: Record<string, unknown> = {};
  const streams = new Map<string, Buffer>();
  for await (const entry of bothWays(archive, size)) {
    if (entry.kind === 'document') documents[entry.name] = entry.value;
    else streams.set(entry.stream, Buffer.concat([streams.get(entry.stream) ?? Buffer.alloc(0), content(entry)]));
  }
  return { documents, streams };
}

function content(entry: Entry & { kind: 'chunk' }): Buffer {
  return entry.bytes ?? Buffer.alloc(0);
}

async function refusal(archive: Buffer, size?: number): Promise<string> {
  try {
    for await (const _ of bothWays(archive, size));
    return 'accepted';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Of a file whose threads cannot read it. */
function readFrom(archive: Buffer) {
  return async (into: Buffer, at: number, length: number, position: number) => ({
    bytesRead: archive.copy(into, at, position, position + length),
  });
}

async function all(entries: AsyncIterable<Entry>): Promise<Entry[]> {
  const list: Entry[] = [];
  for await (const entry of entries) list.push(entry);
  return list;
}
