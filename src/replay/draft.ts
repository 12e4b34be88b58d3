/** From a session to its Dockerfile: of a log alone, or of a container whose files are at hand. */
import { DrayageError } from '../errors.ts';
import type { Finding } from '../migration/finding.ts';
import type { Docker } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { captureEdited, smallFile } from './captured-files.ts';
import { rotatedAway, tornLines, unexplainedChanges } from './dockerfile/findings.ts';
import { withoutSecrets } from './dockerfile/secrets.ts';
import { type Base, homesOf, ownersOf } from './dockerfile/shell-state.ts';
import { type Fate, matters, stepsOf } from './dockerfile/steps.ts';
import { unexplained } from './dockerfile/unexplained.ts';
import { type ContextFile, writeDockerfile } from './dockerfile/write.ts';
import { logFiles } from './log/log-files.ts';
import { type ReadOptions, readSession, type Session } from './session/read-session.ts';

export interface DraftOptions extends Omit<ReadOptions, 'prompt' | 'matters'> {
  /** A regular expression, as the user wrote it. */
  prompt?: string | undefined;
  keepFailed: boolean;
}

export interface ReplayDraft {
  dockerfile: string;
  /** By name in the build context. */
  context: Map<string, ContextFile>;
  findings: Finding[];
  /** Without secrets. */
  commands: { text: string; fate: Fate }[];
}

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
 * @param from what stands after FROM
 * @throws DrayageError REPLAY_*, and those of Docker
 */
export async function draftOfContainer(
  docker: Docker,
  inspect: ContainerInspect,
  options: DraftOptions,
  from: string,
): Promise<ReplayDraft> {
  const path = terminalLogOf(inspect);
  const session = await read(path, options);
  const { signal } = options;
  const image = await docker.inspectImage(inspect.Image, { signal });
  const base = baseOf(inspect.Config);
  const passwd = (await smallFile(docker, inspect.Id, '/etc/passwd', signal))?.content.toString('utf8') ?? '';
  const found = stepsOf(session.commands, { base, homes: homesOf(passwd), keepFailed: options.keepFailed });
  const changes = await docker.changes(inspect.Id, { signal });
  const { steps, captured } = await captureEdited(docker, inspect.Id, found.steps, changes, signal);
  const about = [
    `Written by drayage replay from ${session.commands.length} commands typed in ${inspect.Name.slice(1)}, which was made of`,
    `${inspect.Config.Image ?? inspect.Image}${image.RepoDigests?.[0] === undefined ? '' : ` (${image.RepoDigests[0]})`}.`,
  ];
  const written = writeDockerfile(steps, {
    ...{ from, about, base: baseOf(image.Config ?? {}), captured },
    owners: ownersOf(passwd),
  });
  const mounts = inspect.Mounts.map(({ Destination }) => Destination);
  const rest = unexplained(changes, steps, mounts);
  if (rest.length > 0) written.findings.push(unexplainedChanges(rest));
  if ((await logFiles(path)).length === keptFiles(inspect)) written.findings.push(rotatedAway());
  return draft(session, found, written);
}

/** How many files the engine keeps of a log that it rotates; undefined for a single one, which shows nothing. */
function keptFiles({ HostConfig }: ContainerInspect): number | undefined {
  const options = ((HostConfig.LogConfig ?? {}) as { Config?: Record<string, string> | null }).Config ?? {};
  const kept = Number(options['max-file'] ?? 1);
  return kept > 1 ? kept : undefined;
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
  return readSession(path, { ...options, matters, prompt: prompt === undefined ? undefined : promptRegex(prompt) });
}

function promptRegex(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})`);
  } catch (error) {
    throw new DrayageError('REPLAY_PROMPT_REGEX', `--prompt is no regular expression: ${(error as Error).message}.`);
  }
}

function baseOf({ WorkingDir, User }: { WorkingDir?: string; User?: string }): Base {
  return {
    directory: WorkingDir || '/',
    user: /^(?:(?:0|root)(?::(?:0|root))?)?$/.test(User ?? '') ? 'root' : (User ?? ''),
  };
}

function draft(
  { commands, log }: Session,
  found: ReturnType<typeof stepsOf>,
  { dockerfile, context, findings }: ReturnType<typeof writeDockerfile>,
): ReplayDraft {
  return {
    ...{ dockerfile, context },
    findings: [...found.findings, ...findings, ...(log.torn > 0 ? [tornLines(log.torn)] : [])],
    commands: commands.map(({ text }, i) => ({
      text: withoutSecrets(text, found.secrets),
      fate: found.fates[i] ?? 'look',
    })),
  };
}
