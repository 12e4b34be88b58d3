import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Duplex, duplexPair, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { goodHost, goodInspect, goodWorkload, OPTIONS } from '../../../test/fixtures/facts.ts';
import { StreamInput } from '../../archive/input.ts';
import { type ArchiveOutput, fileOutput, partialOf } from '../../archive/output.ts';
import { type ReadOptions, readArchive } from '../../archive/reader.ts';
import { DrayageError } from '../../errors.ts';
import { LogSync } from '../../files/logs.ts';
import { scratch } from '../../files/testing/rig.ts';
import type { MigrateOptions } from '../events.ts';
import { Journal } from '../journal.ts';
import { SourceMigration } from '../source-migration.ts';
import type { ChannelPurpose, OpenTarget, TargetPort } from '../target-port.ts';
import { anyHost } from './any-host.ts';
import { archiveOutcome } from './archive-outcome.ts';
import { ArchiveTarget } from './archive-target.ts';
import { checkStream } from './export-findings.ts';
import { checkImport } from './import-findings.ts';
import { lookInto, withoutValues } from './inside.ts';
import type { Manifest } from './manifest.ts';
import { occupiedBinds } from './occupied-binds.ts';
import { type ArchiveSource, replay } from './replay.ts';

const IMAGE = randomBytes(100_000);
const TAR = randomBytes(5 << 20);
const MEMORY = randomBytes(300_000);
const ID = '20261121-120000-abcd';

test('what an export was told is repeated on the target, the copy made in time and started last', async () => {
  using directory = scratch();
  const path = await archived(directory.path);
  const { manifest } = await lookInto(createReadStream(path), undefined);
  expect(manifest).toMatchObject({ id: ID, kind: 'export', from: { name: 'a', machine: 'm' }, workload: 'docker:web' });
  const target = new FakeTarget();
  const result = await imported(directory.path, path, target);
  expect(result).toMatchObject({ outcome: 'committed', outageMs: null });
  expect(target.calls).toEqual([
    ...['open', 'channel image', 'create', 'channel tar', 'channel logs', 'channel changes', 'channel memory'],
    ...['begin', 'restore', 'commit', 'release'],
  ]);
  expect(target.opened).toMatchObject({ archive: ID, options: { dropConnections: true } });
  expect(target.descriptors).toEqual(['/dev/null']);
  expect(target.content('image').equals(IMAGE)).toBe(true);
  expect(target.content('tar').equals(TAR)).toBe(true);
  expect(target.content('memory').equals(MEMORY)).toBe(true);
  expect(target.content('logs').toString()).toContain('a line of the log');
  expect(target.metas.get('tar')).toEqual({ key: 'upper', pass: 'first', isFile: false });
});

test('memory is in the archive as it was sent, out of buffers that are used again meanwhile', async () => {
  using directory = scratch();
  const target = await writing(`${directory.path}/web.drayage`);
  const hash = createHash('sha256');
  // Text, which takes longer to pack than to send: what is sent has to wait.
  const text = Buffer.from(Array.from({ length: 1 << 17 }, (_, i) => Math.sin(i).toString(36)).join(''));
  const memory = await target.channel(ID, 'memory', { imagesBytes: 1 });
  const buffers = Array.from({ length: 4 }, () => Buffer.alloc(512 << 10));
  let sent: Promise<void>[] = [];
  for (let round = 0; round < 40; round++) {
    sent = buffers.map(async (buffer, i) => {
      await sent[i];
      for (let at = 0; at < buffer.length; ) at += text.copy(buffer, at, (round * 4 + i) * 97);
      return new Promise((resolve) => void memory.write(buffer, () => resolve()));
    });
    for (const [i, buffer] of buffers.entries()) {
      await sent[i];
      hash.update(buffer);
    }
  }
  memory.end();
  expect(await buffer(memory)).toEqual(Buffer.of(1));
  await target.begin(ID, { descriptors: [] });
  expect(await target.commit()).toMatchObject({ outcome: 'running' });
  const imports = new FakeTarget();
  await imported(directory.path, `${directory.path}/web.drayage`, imports);
  expect(createHash('sha256').update(imports.content('memory')).digest('hex')).toBe(hash.digest('hex'));
});

test('where the output fails in the middle of a log, whoever sends it is told', async () => {
  using directory = scratch();
  const output = new StalledOutput();
  const target = await writing('', OPTIONS, () => {}, output);
  const lines = Array.from({ length: 4000 }, () => JSON.stringify({ log: randomBytes(7500).toString('base64') }));
  writeFileSync(`${directory.path}/log`, `${lines.join('\n')}\n`);
  const open = () => target.channel(ID, 'logs', {});
  const sent = new LogSync({ logPath: `${directory.path}/log`, format: 'json-file', open }).firstPass();
  setTimeout(() => output.stream.destroy(new Error('it is full')), 100);
  await expect(sent).rejects.toMatchObject({ code: 'FILES_LOG_STREAM' });
  expect(await target.commit()).toMatchObject({ outcome: 'aborted', reason: expect.stringMatching(/it is full/) });
});

test('an undo of an export does not wait for an output that takes nothing', async () => {
  const target = await writing('', OPTIONS, () => {}, new StalledOutput());
  const undo = new AbortController();
  target.signal = undo.signal;
  const streams = [];
  for (let i = 0; i < 6; i++) streams.push(await target.channel(ID, 'tar', { key: 'upper', pass: 'first' }));
  for (const stream of streams) stream.end(randomBytes(5 << 20));
  const ended = streams.map((stream) => finished(stream).catch(({ name }: Error) => name));
  await sleep(300); // What is packed by now waits for the output.
  const began = target.begin(ID, { descriptors: [] });
  undo.abort(new DrayageError('CANCELLED', 'as asked'));
  await expect(began).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await Promise.all(ended)).toEqual(streams.map(() => 'AbortError'));
  await target.abort(ID, 'as asked');
  expect(await target.commit()).toMatchObject({ outcome: 'aborted' });
});

test('a stream that finds no room is repeated when there is some, the others are not', async () => {
  using directory = scratch();
  const path = await archived(directory.path);
  const target = new FakeTarget();
  target.full = 'tar';
  const asked: string[] = [];
  const result = await imported(directory.path, path, target, async ({ code }) => {
    asked.push(code);
    target.full = undefined;
  });
  expect(asked).toEqual(['ARCHIVE_NO_ROOM']);
  expect(result).toMatchObject({ outcome: 'committed' });
  expect(target.calls.filter((call) => call === 'channel image')).toHaveLength(1);
  expect(target.calls.filter((call) => call === 'create')).toHaveLength(1);
  expect(target.calls.filter((call) => call === 'channel tar')).toHaveLength(2);
  expect(target.content('tar').equals(TAR)).toBe(true);
});

test.each(['create', 'begin', 'restore', 'channel memory'])('where %s fails, all is taken back', async (call) => {
  using directory = scratch();
  const target = new FakeTarget();
  target.failing = call;
  const result = await imported(directory.path, await archived(directory.path), target);
  expect(result).toMatchObject({ outcome: 'undone', error: { code: 'RESTORE_FAILED' } });
  expect(target.calls.at(-1)).toBe('abort');
  expect(target.calls).not.toContain('commit');
});

test('where the copy itself finds no room, the import is undone: there is no going on with half of it', async () => {
  using directory = scratch();
  const target = new FakeTarget();
  target.failing = 'create';
  target.failure = new DrayageError('DOCKER_REFUSED', 'no space left on device');
  const room = async (): Promise<void> => expect.unreachable();
  const result = await imported(directory.path, await archived(directory.path), target, room);
  expect(result).toMatchObject({ outcome: 'undone', error: { code: 'DOCKER_REFUSED' } });
  expect(target.calls.at(-1)).toBe('abort');
});

test('an undo does not wait for a target that takes nothing more', async () => {
  using directory = scratch();
  const target = new FakeTarget();
  target.stuck = 'tar';
  const path = await archived(directory.path);
  const asked = new DrayageError('CANCELLED', 'as asked');
  const onBegin = (m: SourceMigration): void => void setTimeout(() => m.cancel(asked), 100);
  const result = await imported(directory.path, path, target, undefined, onBegin);
  expect(result).toMatchObject({ outcome: 'undone', error: { code: 'CANCELLED' } });
  expect(target.calls.at(-1)).toBe('abort');
});

test('what was altered since it was checked is found before it runs', async () => {
  using directory = scratch();
  const path = await archived(directory.path);
  const bytes = readFileSync(path);
  const at = bytes.length - 200_000;
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
  const target = new FakeTarget();
  expect(await imported(directory.path, path, target)).toMatchObject({
    outcome: 'undone',
    error: { code: 'ARCHIVE_DAMAGED' },
  });
  expect(target.calls).not.toContain('commit');
});

test('what no import would take is not written: limits of its own, and of an archive', async () => {
  using directory = scratch();
  const target = await writing(`${directory.path}/web.drayage`);
  const long = { descriptors: ['x'.repeat(65 << 20)] };
  await expect(target.begin(ID, long)).rejects.toMatchObject({ code: 'ARCHIVE_WRITE' });
  await target.abort(ID, 'told so');
  const refuse = (): never => {
    throw new DrayageError('ARCHIVE_DAMAGED', 'too many files');
  };
  const refused = writing(`${directory.path}/web.drayage`, OPTIONS, refuse);
  await expect(refused).rejects.toMatchObject({
    code: 'ARCHIVE_WRITE',
    message: expect.stringMatching(/too many files/),
  });
});

test('where the last of it finds no room, it is told as such', async () => {
  using directory = scratch();
  await using any = await open(directory.path);
  const target = await writing(`${directory.path}/web.drayage`);
  await target.begin(ID, { descriptors: [] });
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  using _ = vi.spyOn(Object.getPrototypeOf(any) as FileHandle, 'write').mockRejectedValue(full);
  expect(await target.commit()).toMatchObject({ outcome: 'aborted', error: { code: 'ARCHIVE_WRITE' } });
  expect(readdirSync(directory.path)).toEqual([]);
});

test('an export that is undone leaves no file', async () => {
  using directory = scratch();
  const path = `${directory.path}/web.drayage`;
  const target = await writing(path);
  await target.abort(ID, 'told so');
  expect([path, partialOf(path)].map((file) => existsSync(file))).toEqual([false, false]);
  expect(await target.commit()).toMatchObject({ outcome: 'aborted' });
});

test('what became of an export that was cut short', async () => {
  using directory = scratch();
  const path = `${directory.path}/web.drayage`;
  expect(await archiveOutcome(path).outcome(ID)).toBe('unknown');
  expect(await archiveOutcome('-').outcome(ID)).toBe('unknown');
  writeFileSync(partialOf(path), '');
  expect(await archiveOutcome(path).outcome(ID)).toBe('aborted');
  expect(existsSync(partialOf(path))).toBe(false);
  writeFileSync(path, '');
  expect(await archiveOutcome(path).outcome(ID)).toBe('committed');
  linkSync(path, partialOf(path));
  expect(await archiveOutcome(path).outcome(ID)).toBe('committed');
  expect(existsSync(partialOf(path))).toBe(false);
});

test('values of the environment are shown only where asked for', async () => {
  using directory = scratch();
  const inside = await lookInto(createReadStream(await archived(directory.path)), undefined);
  expect(inside.processes).toMatchObject([{ pid: 1, environment: ['TOKEN=secret'] }]);
  expect(JSON.stringify(withoutValues(inside))).not.toContain('secret');
  expect(inside.streams.map(({ what }) => what)).toEqual([
    'image',
    'tar upper first',
    'memory',
    'logs',
    'changes upper',
  ]);
});

test.each(['contents', 'environment'])('%s that an archive only pretends to have are told as damage', async (what) => {
  using directory = scratch();
  const path = `${directory.path}/web.drayage`;
  const target = await writing(path, OPTIONS, ({ workload }) => {
    if (what === 'environment') Object.assign(workload, { inspect: { Config: { Env: 7 } } });
  });
  await target.describe({ processes: what === 'contents' ? [null as never] : [], sockets: [] });
  await target.begin(ID, { descriptors: [] });
  expect(await target.commit()).toMatchObject({ outcome: 'running' });
  const looking = lookInto(createReadStream(path), undefined);
  await expect(looking).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
});

test('nothing is known of the host that an archive is for, but for what it must have', () => {
  const host = goodHost('a');
  const any = anyHost(host, { id: 'sha256:1111', tags: [] });
  expect(any.docker).toMatchObject({ names: [], networks: [], images: [{ id: 'sha256:1111' }] });
  expect(any.docker?.runtimes).toContain('drayage');
  expect(anyHost(host, undefined).docker?.images).toEqual([]);
});

test('what stands against an import', () => {
  const target = goodHost('b');
  const codes = (manifest: Partial<Manifest>, host = target) =>
    checkImport({ ...MANIFEST, ...manifest }, host, []).map(({ code }) => code);
  expect(codes({})).toEqual([]);
  // An archive is older, and may be of another version.
  expect(codes({ host: { ...goodHost('a'), time: target.time - 86_400_000, drayage: '0.0.1' } })).toEqual([]);
  expect(codes({ image: false })).toEqual(['IMAGE_NOT_INSIDE']);
  const images = [{ id: goodWorkload().image.id, tags: [] }];
  expect(codes({ image: false }, { ...target, docker: target.docker && { ...target.docker, images } })).toEqual([]);
  expect(codes({ kind: 'snapshot' })).toEqual(['SECOND_COPY']);
  expect(codes({ host: { ...goodHost('a'), arch: 'riscv64' } })).toContain('ARCH_DIFFERS');
  expect(codes({}, { ...target, docker: target.docker && { ...target.docker, names: ['web'] } })).toContain(
    'NAME_TAKEN',
  );
});

test('an export to a pipe costs a word, a snapshot does not', () => {
  expect(checkStream('web', true).map(({ code, severity }) => [code, severity])).toEqual([['STREAM_UNSEEN', 'costs']]);
  expect([...checkStream('web', true, true), ...checkStream('web', false)]).toEqual([]);
});

test('what an import deletes at the paths of binds costs a word, and so does a privileged container', async () => {
  using directory = scratch();
  const [full, empty] = [`${directory.path}/full`, `${directory.path}/empty`];
  for (const path of [full, empty]) mkdirSync(path);
  writeFileSync(`${full}/precious`, '');
  writeFileSync(`${directory.path}/file`, '');
  const binds = ['full', 'empty', 'file', 'none'].map((name) => {
    const path = `${directory.path}/${name}`;
    return { key: `bind:${path}`, kind: 'bind' as const, path, bytes: 0, entries: 0 };
  });
  const manifest = { ...MANIFEST, workload: { ...goodWorkload(), files: binds } };
  expect(await occupiedBinds(manifest)).toEqual([]);
  const occupied = await occupiedBinds({ ...manifest, options: { ...OPTIONS, carryBinds: true } });
  expect(occupied).toEqual([full, `${directory.path}/file`]);
  const inspect = goodInspect();
  inspect.HostConfig.Privileged = true;
  const findings = checkImport({ ...MANIFEST, workload: { ...goodWorkload(), inspect } }, goodHost('b'), occupied);
  expect(findings.map(({ code }) => code)).toEqual(['PRIVILEGED', 'BIND_CARRIED', 'BIND_CARRIED']);
});

const MANIFEST: Manifest = {
  ...{ format: 1, id: ID, createdAt: 0, drayage: '1', kind: 'export', from: { name: 'a', machine: 'm' } },
  ...{ host: goodHost('a'), workload: goodWorkload(), options: OPTIONS, image: true },
};

async function writing(
  path: string,
  options: MigrateOptions = OPTIONS,
  assertOpenable: (manifest: Manifest) => void = () => {},
  output?: ArchiveOutput,
): Promise<ArchiveTarget> {
  const target = new ArchiveTarget({
    output: output ?? (await fileOutput(path)),
    hostFacts: async () => goodHost('a'),
    ...{ self: { name: 'a', machine: 'm' }, drayage: '1', assertOpenable },
  });
  await target.survey();
  await target.open({
    id: ID,
    workload: { ...goodWorkload(), inspect: { Config: { Env: [] } } },
    options,
    parents: {},
  });
  return target;
}

/** Takes the manifest, and nothing of what follows. */
class StalledOutput implements ArchiveOutput {
  readonly isPublic = false;
  readonly lost = new Promise<never>(() => {});
  readonly stream = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      this.#taken += piece.length;
      if (this.#taken < 64 << 10) done();
    },
  });
  #taken = 0;

  async commit(): Promise<void> {}

  async discard(): Promise<void> {
    this.stream.destroy();
  }
}

async function archived(directory: string): Promise<string> {
  const path = `${directory}/web.drayage`;
  const target = await writing(path);
  await send(await target.channel(ID, 'image', {}), IMAGE);
  await target.settle();
  const tar = await target.channel(ID, 'tar', { key: 'upper', pass: 'first', isFile: false });
  await send(tar, TAR);
  const memory = await target.channel(ID, 'memory', { imagesBytes: 1 });
  memory.write(MEMORY.subarray(0, 1000));
  writeFileSync(`${directory}/log`, `${JSON.stringify({ log: 'a line of the log\n' })}\n`);
  const open = () => target.channel(ID, 'logs', {});
  await new LogSync({ logPath: `${directory}/log`, format: 'json-file', open }).firstPass();
  await target.settle();
  await target.begin(ID, { descriptors: ['/dev/null'] });
  const memoryBytes = { anonymous: 1, file: 0, shared: 0, swap: 0 };
  const first = { pid: 1, parent: 0, name: 'sh', command: ['sh'], threads: 1, files: [] };
  await target.describe({
    processes: [{ ...first, memory: memoryBytes, environment: ['TOKEN=secret'] }],
    sockets: [],
  });
  await send(await target.channel(ID, 'changes', { key: 'upper' }), Buffer.from('{}'));
  memory.end(MEMORY.subarray(1000));
  expect(await buffer(memory)).toEqual(Buffer.of(1));
  await target.restore();
  expect(existsSync(path)).toBe(false);
  expect(await target.commit()).toMatchObject({ outcome: 'running' });
  return path;
}

async function send(stream: Duplex, content: Buffer): Promise<void> {
  stream.resume().end(content);
  await finished(stream);
}

async function imported(
  directory: string,
  path: string,
  target: FakeTarget,
  room: ArchiveSource['room'] = async (error) => {
    throw error;
  },
  onBegin: (m: SourceMigration) => void = () => {},
) {
  await using journal = await Journal.create(directory, ID, 'source');
  const never = new AbortController().signal;
  const m = new SourceMigration({
    ...{ id: ID, workload: 'docker:web', to: 'b', options: OPTIONS, target, journal, stopping: never },
    ...{
      redial: async () => target,
      reach: async () => target,
      forwards: undefined as never,
      relays: undefined as never,
    },
    ...{ self: { name: 'b', machine: 'n' }, claim: () => {}, hostFacts: async () => goodHost('b') },
    exclusively: (work) => work(),
  });
  onBegin(m);
  const read = (options: ReadOptions) => readArchive(new StreamInput(createReadStream(path)), options);
  const result = await replay(m, { manifest: MANIFEST, read, room });
  await m.close();
  return result;
}

/** Remembers what it is told, and fails as told. */
class FakeTarget implements TargetPort {
  readonly calls: string[] = [];
  readonly metas = new Map<string, unknown>();
  readonly #contents = new Map<string, Promise<Buffer>>();
  readonly contents = new Map<string, Buffer>();
  readonly lost = new Promise<never>(() => {});
  opened: OpenTarget | undefined;
  descriptors: string[] | undefined;
  failing: string | undefined;
  failure = new DrayageError('RESTORE_FAILED', 'As told.');
  /** Takes nothing. */
  stuck: ChannelPurpose | undefined;
  /** Finds no room. */
  full: ChannelPurpose | undefined;

  content(purpose: ChannelPurpose): Buffer {
    return this.contents.get(purpose) ?? Buffer.alloc(0);
  }

  async survey() {
    return goodHost('b');
  }

  async open(request: OpenTarget): Promise<void> {
    this.#note('open');
    this.opened = request;
  }

  async channel(_id: string, purpose: ChannelPurpose, meta: unknown): Promise<Duplex> {
    this.#note(`channel ${purpose}`);
    this.metas.set(purpose, meta);
    const [near, far] = duplexPair();
    if (this.full === purpose) {
      far.once('data', () => near.destroy(new DrayageError('FILES_NO_SPACE', 'No space left on device')));
      return near;
    }
    if (this.stuck === purpose) return near;
    const received = buffer(far.iterator({ destroyOnReturn: false }) as unknown as NodeJS.ReadableStream);
    this.#contents.set(purpose, received);
    received.then(
      (content) => {
        this.contents.set(purpose, content);
        far.end();
      },
      () => {},
    );
    return near;
  }

  async settle(): Promise<void> {}

  async create() {
    this.#note('create');
    return { containerId: 'c', notes: [] };
  }

  async begin(_id: string, { descriptors }: { descriptors: string[] }): Promise<void> {
    this.#note('begin');
    this.descriptors = descriptors;
  }

  async restore() {
    this.#note('restore');
  }

  async commit() {
    this.#note('commit');
    return { outcome: 'running', sinceMs: 0 } as const;
  }

  async release() {
    this.#note('release');
    return { spans: [], notes: [] };
  }

  async abort() {
    this.#note('abort');
    return { spans: [] };
  }

  async outcome() {
    return 'aborted' as const;
  }

  async resolve(): Promise<void> {}
  async close(): Promise<void> {}

  async inUse() {
    return [];
  }

  path(): Promise<never> {
    throw new Error('never');
  }

  surveyTree(): Promise<never> {
    throw new Error('never');
  }

  start(): Promise<never> {
    throw new Error('never');
  }

  prune(): Promise<never> {
    throw new Error('never');
  }

  rewrite(): Promise<never> {
    throw new Error('never');
  }

  network(): Promise<never> {
    throw new Error('never');
  }

  repoint(): Promise<never> {
    throw new Error('never');
  }

  #note(call: string): void {
    this.calls.push(call);
    if (call === this.failing) throw this.failure;
  }
}
