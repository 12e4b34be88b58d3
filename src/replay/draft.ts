/** From a session to its Dockerfile: of a log alone, or of a container whose files are at hand. */
import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { DrayageError } from '../errors.ts';
import type { Finding } from '../migration/finding.ts';
import { type Docker, isNotFound } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { type Base, type Homes, homesOf } from './dockerfile/shell-state.ts';
import { type Fate, type Step, stepsOf } from './dockerfile/steps.ts';
import { type Captured, type ContextFile, writeDockerfile } from './dockerfile/write.ts';
import { type ReadOptions, readSession, type Session } from './session/read-session.ts';

export interface DraftOptions extends Omit<ReadOptions, 'prompt'> {
  /** A regular expression, as the user wrote it. */
  prompt?: string | undefined;
  keepFailed: boolean;
}

export interface ReplayDraft {
  dockerfile: string;
  /** By name in the build context. */
  context: Map<string, ContextFile>;
  findings: Finding[];
  commands: { text: string; fate: Fate }[];
}

/** Bytes of an edited file; more is no work of an editor. */
const MAX_EDITED = 16 << 20;

/**
 * Of a log file and the name of a base image, without Docker.
 * @throws DrayageError REPLAY_*
 */
export async function draftOfLog(path: string, from: string, options: DraftOptions): Promise<ReplayDraft> {
  const session = await read(path, options);
  const directory = session.commands[0]?.prompt.directory;
  const base: Base = {
    directory: directory?.startsWith('/') ? directory : '/',
    user: session.commands[0]?.prompt.user ?? 'root',
  };
  const found = stepsOf(session.commands, { base, keepFailed: options.keepFailed });
  const about = [`Written by drayage replay from ${session.commands.length} commands of a terminal's log.`];
  const image = { directory: '/', user: 'root' };
  const written = writeDockerfile(found.steps, {
    from,
    about,
    base: directory === undefined ? base : image,
    captured: undefined,
  });
  return draft(session, found, written);
}

/**
 * Of a container of this host.
 * @param from what stands after FROM; default the image by its id
 * @throws DrayageError REPLAY_*, and those of Docker
 */
export async function draftOfContainer(
  docker: Docker,
  inspect: ContainerInspect,
  options: DraftOptions,
  from = inspect.Image,
): Promise<ReplayDraft> {
  const session = await read(terminalLogOf(inspect), options);
  const { signal } = options;
  const image = await docker.inspectImage(inspect.Image, { signal });
  const base = baseOf(inspect.Config);
  const homes = await homesIn(docker, inspect.Id, signal);
  const found = stepsOf(session.commands, { base, homes, keepFailed: options.keepFailed });
  const captured = await capture(docker, inspect.Id, found.steps, signal);
  const about = [
    `Written by drayage replay from ${session.commands.length} commands typed in ${inspect.Name.slice(1)}, which was made of`,
    `${inspect.Config.Image ?? inspect.Image}${image.RepoDigests?.[0] === undefined ? '' : ` (${image.RepoDigests[0]})`}.`,
  ];
  const written = writeDockerfile(found.steps, { from, about, base: baseOf(image.Config ?? {}), captured });
  return draft(session, found, written);
}

/** @throws DrayageError REPLAY_NO_TERMINAL, REPLAY_LOG_DRIVER, REPLAY_EMPTY_LOG */
export function terminalLogOf(inspect: ContainerInspect): string {
  const name = inspect.Name.slice(1);
  if (inspect.Config.Tty !== true) throw new DrayageError('REPLAY_NO_TERMINAL', `${name} never had a terminal.`);
  const { Type: driver = 'json-file' } = (inspect.HostConfig.LogConfig ?? {}) as { Type?: string };
  if (driver !== 'json-file') throw new DrayageError('REPLAY_LOG_DRIVER', `The log driver of ${name} is ${driver}.`);
  if (!inspect.LogPath) throw new DrayageError('REPLAY_EMPTY_LOG', `${name} was never started, so it has no log.`);
  return inspect.LogPath;
}

function read(path: string, { prompt, ...options }: DraftOptions): Promise<Session> {
  return readSession(path, { ...options, prompt: prompt === undefined ? undefined : promptRegex(prompt) });
}

function promptRegex(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})`);
  } catch (error) {
    throw new DrayageError('REPLAY_PROMPT_REGEX', `--prompt is no regular expression: ${(error as Error).message}.`);
  }
}

function baseOf({ WorkingDir, User }: { WorkingDir?: string; User?: string }): Base {
  const user = (User ?? '').split(':')[0] ?? '';
  return { directory: WorkingDir || '/', user: user === '' || user === '0' ? 'root' : user };
}

function draft(
  { commands }: Session,
  found: ReturnType<typeof stepsOf>,
  { dockerfile, context, findings }: ReturnType<typeof writeDockerfile>,
): ReplayDraft {
  return {
    ...{ dockerfile, context },
    findings: [...found.findings, ...findings],
    commands: commands.map(({ text }, i) => ({ text, fate: found.fates[i] ?? 'look' })),
  };
}

async function homesIn(docker: Docker, id: string, signal: AbortSignal | undefined): Promise<Homes> {
  const passwd = await fileOf(docker, id, '/etc/passwd', signal);
  return typeof passwd === 'string' ? new Map() : homesOf(passwd.content.toString('utf8'));
}

/** The edited files as they are now. */
async function capture(
  docker: Docker,
  id: string,
  steps: readonly Step[],
  signal: AbortSignal | undefined,
): Promise<Map<string, Captured>> {
  const changed = new Set((await docker.changes(id, { signal })).map(({ Path }) => Path));
  const captured = new Map<string, Captured>();
  for (const step of steps) {
    if (step.type !== 'edited' || captured.has(step.path)) continue;
    const file = changed.has(step.path) ? await fileOf(docker, id, step.path, signal) : 'unchanged';
    captured.set(step.path, file);
  }
  return captured;
}

async function fileOf(docker: Docker, id: string, path: string, signal: AbortSignal | undefined): Promise<Captured> {
  let tar: Readable;
  try {
    tar = await docker.archive(id, path, { signal });
  } catch (error) {
    if (isNotFound(error)) return 'absent';
    throw error;
  }
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  let found: Captured = 'absent';
  for await (const entry of entries) {
    const { type, size = 0, mode = 0o644, uid = 0, gid = 0 } = entry.header;
    if (found !== 'absent' || type !== 'file' || size > MAX_EDITED) {
      entry.resume();
      continue;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found = { content: Buffer.concat(chunks), mode: mode & 0o7777, uid, gid };
  }
  return found;
}
