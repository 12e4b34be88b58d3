/**
 * The way of a replay, as the source's agent drives it. The container is only read; up to `finish` everything on the
 * target is taken back where something fails.
 *
 *   survey ─ read ─ transfer ─ build ─ verify ─ (build ─ verify with the rest) ─ commit
 */
import { createWriteStream } from 'node:fs';
import { machine } from 'node:os';
import { addAbortSignal, type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sendImage } from '../../engines/docker/images.ts';
import { type HostFacts, isTree, type WorkloadFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import type { MigrationResult, Phase } from '../../migration/events.ts';
import type { SourceMigration } from '../../migration/source-migration.ts';
import { surveyWorkload } from '../../migration/survey.ts';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import { contextArchive, fingerprint } from '../context-archive.ts';
import { type DraftOptions, draftOfContainer, type ReplayDraft } from '../draft.ts';
import { namelessFile } from '../nameless-file.ts';
import { type Comparison, compare, type Difference } from '../proof/compare.ts';
import { entriesOf, type Manifest } from '../proof/manifest.ts';
import { hasRest, restLines, writeRest } from '../proof/rest.ts';
import { baseFor, blocking, targetFindings } from './check.ts';
import { buildFailed, changedSince, notAlike } from './failures.ts';
import { finish } from './finish.ts';
import { jsonLines } from './json-lines.ts';
import { buildLineSchema, manifestLineSchema, type ReplayChannel, type ReplayTarget } from './target-port.ts';

export interface RebuildOptions extends Pick<DraftOptions, 'prompt' | 'keepFailed' | 'columns'> {
  /** Create the container on the target, too, and start it. */
  start: boolean;
  /** Carry what no command explains as a last layer. */
  captureRest: boolean;
  /** In percent: less alike is a failure. */
  require: number;
  /** `fingerprint` of what the user has seen and agreed to; absent where nobody was asked. */
  agreed?: string | undefined;
}

/** Characters of differences in one event: a record of a journal has a limit. */
const MAX_TOLD = 200_000;

interface Source {
  workload: WorkloadFacts;
  inspect: ContainerInspect;
  target: HostFacts;
}

export async function rebuild(
  m: SourceMigration,
  target: ReplayTarget,
  options: RebuildOptions,
): Promise<MigrationResult> {
  let opened = false;
  try {
    const source = await m.phase('survey', () => survey(m));
    const draft = await m.phase('read', () => read(m, source, options));
    if (options.agreed !== undefined && options.agreed !== fingerprint(draft))
      throw changedSince(source.workload.ref.name);
    const findings = [
      ...draft.findings,
      ...targetFindings(source.workload, source.target, { start: options.start, arch: machine() }),
    ];
    m.emit({ type: 'findings', findings });
    const blocks = blocking(findings);
    if (blocks !== undefined) throw blocks;
    m.checkpoint();
    opened = true;
    await target.open({ id: m.id, workload: source.workload });
    await m.phase('transfer', () => carryImage(m, target, source));
    await build(m, target, draft);
    let comparison = await verify(m, target, source);
    if (options.captureRest && comparison.differences.length > 0) {
      comparison = await withRest(m, target, source, draft, comparison.differences);
    }
    if (comparison.score < options.require) throw notAlike(comparison, options.require);
    m.checkpoint();
    const { image, containerId, notes } = await m.phase('commit', () =>
      finish(m, target, source.workload, options.start),
    );
    for (const message of notes) m.emit({ type: 'note', message });
    return result(m, 'committed', {
      rebuilt: { image, score: comparison.score },
      ...(containerId && { targetId: containerId }),
    });
  } catch (cause) {
    const error = m.cancelled ?? DrayageError.from(cause);
    await m.phase('undo', async () => {
      if (opened) await target.abort(m.id, error.message).catch(() => {}); // The target does it by itself where it is not told.
    });
    return result(m, 'undone', { error: error.toJSON() });
  }
}

/** Pure but for the reading: what is shown before anything is done. */
async function read(
  m: SourceMigration,
  { inspect, workload, target }: Source,
  options: RebuildOptions,
): Promise<ReplayDraft> {
  return draftOfContainer(m.docker, inspect, { ...options, signal: m.signal }, baseFor(workload, target, machine()));
}

async function survey(m: SourceMigration): Promise<Source> {
  const [workload, target] = await Promise.all([
    surveyWorkload(m.docker, m.run, m.workload, m.signal),
    m.target.survey(),
  ]);
  if (isTree(workload))
    throw new DrayageError('WORKLOAD_UNKNOWN', `${m.workload} is no container, and only containers are rebuilt.`);
  m.claim(workload.id);
  return { workload, inspect: workload.inspect as ContainerInspect, target };
}

async function carryImage(m: SourceMigration, target: ReplayTarget, { workload, target: host }: Source): Promise<void> {
  const { image } = workload;
  if (host.arch !== machine() || host.docker?.images.some(({ id }) => id === image.id)) return;
  const stream = await open(m, target, 'image');
  const done = drained(stream);
  done.catch(() => {}); // Where the sending fails, too, nobody waits for it.
  const onProgress = m.progress('transfer', 'image', image.bytes);
  const { bytes } = await sendImage(m.docker, image, host.docker?.layers ?? [], stream, {
    signal: m.signal,
    onProgress,
  });
  m.bytes += bytes;
  await done;
}

function build(
  m: SourceMigration,
  target: ReplayTarget,
  draft: Pick<ReplayDraft, 'dockerfile' | 'context'>,
  rest?: string,
): Promise<void> {
  return m.phase('build', async () => {
    const stream = await open(m, target, 'build');
    const context = contextArchive({ ...draft, ...(rest !== undefined && { rest }) });
    // What breaks it breaks the answer, too.
    const sent = pipeline(
      Readable.from(counted(m, context as AsyncIterable<Buffer>), { objectMode: false }),
      stream,
    ).catch(() => {});
    for await (const line of jsonLines(stream, buildLineSchema)) {
      if (line.type === 'step') {
        m.emit({ type: 'progress', phase: 'build', what: `${line.number}/${line.of} ${line.text}`, bytes: 0 });
      } else if (line.type === 'failed') throw buildFailed(line);
    }
    await sent;
  });
}

/** A channel that ends when an undo is asked for. */
async function open(m: SourceMigration, target: ReplayTarget, what: ReplayChannel): Promise<Duplex> {
  m.checkpoint();
  return addAbortSignal(m.signal, await target.channel(m.id, what));
}

async function* counted(m: SourceMigration, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    m.bytes += chunk.length;
    yield chunk;
  }
}

function verify(m: SourceMigration, target: ReplayTarget, { workload, inspect }: Source): Promise<Comparison> {
  return m.phase('verify', async () => {
    const [container, built] = await Promise.all([
      m.docker.exportContainer(workload.id, { signal: m.signal }).then(manifestOf),
      open(m, target, 'manifest').then(builtManifest),
    ]);
    const mounts = inspect.Mounts.map(({ Destination }) => Destination);
    const comparison = compare(container, built, mounts);
    tell(m, comparison);
    return comparison;
  });
}

/** Every difference by name, in as many events as that takes. */
function tell(m: SourceMigration, { score, paths, differences }: Comparison): void {
  let from = 0;
  do {
    let to = from;
    for (let length = 0; to < differences.length && length < MAX_TOLD; to++) {
      length += JSON.stringify(differences[to]).length;
    }
    const told = differences.slice(from, to).map(({ path, what }) => ({ path, what }));
    m.emit({ type: 'proof', score, paths, differing: differences.length, from, differences: told });
    from = to;
  } while (from < differences.length);
}

async function withRest(
  m: SourceMigration,
  target: ReplayTarget,
  source: Source,
  { dockerfile, context }: ReplayDraft,
  differences: readonly Difference[],
): Promise<Comparison> {
  await using file = await namelessFile();
  if (hasRest(differences)) {
    const exported = await m.docker.exportContainer(source.workload.id, { signal: m.signal });
    for (const path of await writeRest(exported, differences, createWriteStream(file.path))) {
      m.emit({ type: 'note', message: `there is a secret in ${path}, which the last layer carries` });
    }
  }
  const lines = restLines(differences, await userOf(m, source, dockerfile));
  const draft = { dockerfile: `${dockerfile}${lines.join('\n')}\n`, context };
  await build(m, target, draft, hasRest(differences) ? file.path : undefined);
  return verify(m, target, source);
}

/** As whom the image's programs run. */
async function userOf(m: SourceMigration, { inspect }: Source, dockerfile: string): Promise<string> {
  const user = [...dockerfile.matchAll(/^USER (.+)$/gm)].at(-1)?.[1];
  if (user !== undefined) return user;
  return (await m.docker.inspectImage(inspect.Image, { signal: m.signal })).Config?.User || 'root';
}

async function manifestOf(tar: Readable): Promise<Manifest> {
  const manifest: Manifest = new Map();
  for await (const [path, entry] of entriesOf(tar)) manifest.set(path, entry);
  return manifest;
}

async function builtManifest(stream: Duplex): Promise<Manifest> {
  stream.end();
  const manifest: Manifest = new Map();
  for await (const [path, entry] of jsonLines(stream, manifestLineSchema)) manifest.set(path, entry);
  return manifest;
}

/** The other side has taken all and ended its own direction. */
async function drained(stream: Duplex): Promise<void> {
  for await (const _ of stream) {
    // Nothing comes.
  }
}

function result(m: SourceMigration, outcome: 'committed' | 'undone', more: Partial<MigrationResult>): MigrationResult {
  const names = [...new Set(m.trace.spans.filter((span) => span.kind === 'phase').map((span) => span.name as Phase))];
  return {
    ...{ type: 'result', id: m.id, outcome, outageMs: null, totalMs: Math.round(m.trace.now()), bytes: m.bytes },
    phases: names.map((name) => ({ name, ms: Math.round(m.trace.phaseMs(name) * 10) / 10 })),
    ...more,
  };
}
