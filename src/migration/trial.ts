/**
 * A copy that was started anew on the target, while it is not decided yet that it stays: it runs, its original stands
 * still, and either it becomes healthy and is committed, or nothing of it is left running.
 */
import { killContainerProcesses } from '../engines/docker/container-processes.ts';
import { placeGuard, removeGuard } from '../engines/docker/guard.ts';
import { healthOf, untilHealthy } from '../engines/docker/health.ts';
import { DrayageError } from '../errors.ts';
import type { Docker } from '../tools/docker.ts';
import type { Journal } from './journal.ts';
import { ignoreMissing } from './resource.ts';

/** An engine hears that a container has ended a moment after its processes are gone. */
const NOTICED_MS = 2000;

export interface TrialOptions {
  migrationId: string;
  containerId: string;
  docker: Docker;
  healthyUrl?: string | undefined;
  /** The agent is being stopped: nobody would decide. */
  stopping: AbortSignal;
}

export class Trial {
  readonly #options: TrialOptions;
  readonly #given = new AbortController();
  #started: Promise<void> | undefined;

  constructor(options: TrialOptions) {
    this.#options = options;
  }

  /**
   * Resolves to the host pid of its init process. It is guarded but for the moment in which the engine's runtime makes
   * it: nobody else starts it, once it has ended.
   */
  async start(): Promise<number> {
    const { containerId, docker } = this.#options;
    this.#started = this.#startGuarded();
    await this.#started.catch((error: unknown) => {
      throw isRefusal(error)
        ? new DrayageError('NOT_HEALTHY', `The copy cannot be started on the target: ${error.message}`, {
            cause: error,
          })
        : error;
    });
    const { State } = await docker.inspect(containerId);
    if (State.Pid > 0) return State.Pid;
    throw endedAtOnce(State.ExitCode);
  }

  /** What has failed because the copy has ended meanwhile is that; anything else stays what it is. */
  async explain(error: unknown): Promise<unknown> {
    const { containerId, docker } = this.#options;
    await docker.wait(containerId, { signal: AbortSignal.timeout(NOTICED_MS) }).catch(() => {});
    const { State } = await docker.inspect(containerId).catch(() => ({ State: undefined }));
    return State?.Running === false ? endedAtOnce(State.ExitCode) : error;
  }

  /** @throws DrayageError NOT_HEALTHY, or the reason that it was given up for */
  async healthy(): Promise<void> {
    const { containerId, docker, healthyUrl, stopping } = this.#options;
    const signal = AbortSignal.any([this.#given.signal, stopping]);
    signal.throwIfAborted();
    const { Config } = await docker.inspect(containerId, { signal });
    await untilHealthy(docker, containerId, healthOf(Config, healthyUrl), signal);
  }

  /** Nobody waits any longer for it to become healthy. */
  giveUp(reason: string): void {
    this.#given.abort(new DrayageError('CANCELLED', reason));
  }

  /**
   * When it resolves nothing of the copy runs, and nothing will: a start that is under way has come to its end, and the
   * guard refuses the next.
   */
  async end(): Promise<void> {
    const { containerId, migrationId } = this.#options;
    await placeGuard(containerId, migrationId);
    await this.#started?.catch(() => {});
    await killContainerProcesses(containerId);
  }

  async #startGuarded(): Promise<void> {
    const { containerId, docker, migrationId } = this.#options;
    await removeGuard(containerId);
    try {
      await docker.start(containerId);
    } finally {
      await placeGuard(containerId, migrationId);
    }
  }
}

function endedAtOnce(status: number): DrayageError {
  return new DrayageError('NOT_HEALTHY', `The copy ended at once on the target, with exit status ${status}.`);
}

function isRefusal(error: unknown): error is DrayageError {
  return error instanceof DrayageError && error.code === 'DOCKER_REFUSED';
}

/** Whether a copy may have run although nothing is committed. */
export function wasTried({ records }: Pick<Journal, 'records'>): boolean {
  return records.some((record) => record.type === 'state' && record.state === 'trying');
}

/**
 * The same end for a copy whose agent crashed. The engine may still be about to start it: it has done so, or given up,
 * when it has removed it. Rejects where the engine is away; nothing is known of the copy then.
 */
export async function endLeftTrial(docker: Docker, containerId: string, migrationId: string): Promise<void> {
  await placeGuard(containerId, migrationId);
  await killContainerProcesses(containerId);
  await ignoreMissing(docker.remove(containerId, { force: true }));
  await killContainerProcesses(containerId);
}
