/** Whether a container that was just started is well. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../../errors.ts';
import type { Docker } from '../../tools/docker.ts';
import type { ContainerConfig } from '../../tools/docker-types.ts';

/** How it is told that a container is well, and how long that may take. */
export type Health = { limitMs: number } & (
  | { by: 'url'; url: string }
  /** The container's own health check, as a command that can be run in it. */
  | { by: 'healthcheck'; command: string[] /** For one run. */; timeoutMs: number }
  /** It runs for so long without ending. */
  | { by: 'running' }
);

/** Without a health check a container that runs this long is taken for healthy. */
export const SETTLE_MS = 3000;
const URL_LIMIT_MS = 60_000;
const POLL_MS = 250;
/** For one answer of an address. */
const ANSWER_MS = 5000;
/** What the engine takes where nothing was said (moby daemon/health.go). */
const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3 };
const LIMITS = { least: 30_000, most: 600_000 };

/** Pure. An address that the user named counts before the container's own check. */
export function healthOf({ Healthcheck, Shell }: ContainerConfig, url?: string): Health {
  if (url !== undefined) return { by: 'url', url, limitMs: URL_LIMIT_MS };
  const command = commandOf(Healthcheck?.Test ?? [], Shell);
  if (command === undefined) return { by: 'running', limitMs: SETTLE_MS };
  const { Interval = 0, Timeout = 0, Retries = 0, StartPeriod = 0 } = Healthcheck ?? {};
  const timeoutMs = Timeout / 1e6 || DEFAULTS.timeoutMs;
  const attemptMs = (Interval / 1e6 || DEFAULTS.intervalMs) + timeoutMs;
  const limitMs = StartPeriod / 1e6 + attemptMs * (Retries || DEFAULTS.retries);
  return { by: 'healthcheck', command, timeoutMs, limitMs: Math.min(LIMITS.most, Math.max(LIMITS.least, limitMs)) };
}

/**
 * Resolves when it is well. The engine itself runs a health check for the first time after a whole interval, 30 s as a
 * rule; so its command is run here, too, until it succeeds once.
 * @throws DrayageError NOT_HEALTHY where it ends, where its engine takes it for unhealthy, or where the time is over
 */
export async function untilHealthy(
  docker: Docker,
  containerId: string,
  health: Health,
  signal: AbortSignal,
): Promise<void> {
  const since = performance.now();
  for (;;) {
    const { State } = await docker.inspect(containerId, { signal });
    if (!State.Running) throw unhealthy(`its program ended with exit status ${State.ExitCode}`);
    if (health.by === 'healthcheck' && State.Health?.Status === 'unhealthy') throw unhealthy('its health check fails');
    const answer = await ask(docker, containerId, health, since, signal);
    if (answer === 'well') return;
    if (performance.now() - since > health.limitMs) {
      throw unhealthy(`${answer}, for ${Math.round(health.limitMs / 1000)} s`);
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** @returns `well`, or what speaks against it so far */
function ask(docker: Docker, id: string, health: Health, since: number, signal: AbortSignal): Promise<string> {
  switch (health.by) {
    case 'url':
      return askUrl(health.url, signal);
    case 'healthcheck':
      return askCheck(docker, id, health, signal);
    case 'running':
      return Promise.resolve(performance.now() - since >= SETTLE_MS ? 'well' : 'it has only just been started');
    default:
      return health satisfies never;
  }
}

async function askUrl(url: string, signal: AbortSignal): Promise<string> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const response = await fetch(url, { signal: limit, redirect: 'manual' });
    await response.body?.cancel();
    return response.status < 400 ? 'well' : `${url} answers with status ${response.status}`;
  } catch (error) {
    signal.throwIfAborted();
    const { message, cause } = error as Error;
    return `${url} does not answer (${cause instanceof Error ? cause.message : message})`;
  }
}

async function askCheck(
  docker: Docker,
  id: string,
  { command, timeoutMs }: Extract<Health, { by: 'healthcheck' }>,
  signal: AbortSignal,
): Promise<string> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const status = await docker.exec(id, command, { signal: limit });
    return status === 0 ? 'well' : `its health check fails with exit status ${status}`;
  } catch (error) {
    signal.throwIfAborted();
    return `its health check cannot be run (${DrayageError.from(error).message})`;
  }
}

function commandOf([kind, ...words]: readonly string[], shell: ContainerConfig['Shell']): string[] | undefined {
  switch (kind) {
    case 'CMD':
      return words;
    case 'CMD-SHELL':
      return [...(shell?.length ? shell : ['/bin/sh', '-c']), ...words];
    default:
      return undefined;
  }
}

function unhealthy(why: string): DrayageError {
  return new DrayageError('NOT_HEALTHY', `The copy did not come up healthy on the target: ${why}.`);
}
