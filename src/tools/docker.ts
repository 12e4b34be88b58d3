/** Docker's Engine API over its unix socket: what drayage asks of it, typed. */
import { type Readable, Stream } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import type {
  ContainerCreateBody,
  ContainerInspect,
  ContainerSummary,
  EndpointConfig,
  ImageInspect,
  ImageSummary,
  NetworkCreateBody,
  NetworkInspect,
  RestartPolicy,
  SystemInfo,
  SystemVersion,
  VolumeCreateBody,
  VolumeInspect,
} from './docker-types.ts';

export interface DockerOptions {
  /** Default: /var/run/docker.sock */
  socketPath?: string;
  /** Told of each call as `docker <what>`. */
  record?: ProgramRecorder;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Newest API that this client was written against; a newer engine is spoken to in this one. */
const NEWEST_API = '1.51';
/** Docker 24: the first with annotations, and the oldest whose inspect tells all that a copy needs. */
const OLDEST_API = '1.43';

/**
 * A client of one engine. The API version is negotiated with the first call, and again after a failure. Every method
 * throws a DrayageError: DOCKER_UNREACHABLE, DOCKER_TOO_OLD, DOCKER_NOT_FOUND, DOCKER_REFUSED (with the daemon's own
 * message), or the reason of an aborted signal.
 */
export class Docker implements AsyncDisposable {
  readonly #socketPath: string;
  readonly #pool: Pool;
  readonly #record: ProgramRecorder | undefined;
  #negotiated: Promise<string> | undefined;

  constructor({ socketPath = '/var/run/docker.sock', record }: DockerOptions = {}) {
    this.#socketPath = socketPath;
    this.#record = record;
    // A pool, because a start may wait for minutes while other calls go on.
    this.#pool = new Pool('http://docker', { socketPath });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  /** The API version in use, e.g. `1.45`. */
  api(): Promise<string> {
    this.#negotiated ??= this.#negotiate().catch((error: unknown) => {
      this.#negotiated = undefined;
      throw error;
    });
    return this.#negotiated;
  }

  version(options?: CallOptions): Promise<SystemVersion> {
    return this.#json('version', 'GET', '/version', options);
  }

  info(options?: CallOptions): Promise<SystemInfo> {
    return this.#json('info', 'GET', '/info', options);
  }

  /** All containers, stopped ones too. */
  containers(options?: CallOptions): Promise<ContainerSummary[]> {
    return this.#json('ps', 'GET', '/containers/json?all=1', options);
  }

  /** `size`: with the bytes of the writable layer, which the engine counts file by file. */
  inspect(id: string, options: CallOptions & { size?: boolean } = {}): Promise<ContainerInspect> {
    return this.#json('inspect', 'GET', `/containers/${quote(id)}/json${options.size ? '?size=1' : ''}`, options);
  }

  async create(
    name: string,
    body: ContainerCreateBody,
    options?: CallOptions,
  ): Promise<{ id: string; warnings: string[] }> {
    const path = `/containers/create?name=${quote(name)}`;
    // The engine copies an image's files into new volumes here, which may take its time.
    const answer = await this.#json<{ Id: string; Warnings: string[] | null }>('create', 'POST', path, {
      ...options,
      body,
      unlimited: true,
    });
    return { id: answer.Id, warnings: answer.Warnings ?? [] };
  }

  /**
   * Resolves when the engine has started the container, which takes as long as its runtime does: there is no time
   * limit. Aborting gives up waiting; the engine goes on with the start.
   */
  start(id: string, options?: CallOptions): Promise<void> {
    return this.#void('start', `/containers/${quote(id)}/start`, { ...options, unlimited: true });
  }

  /** @param graceSeconds after which it is killed; default: the container's own stop timeout */
  stop(id: string, options: CallOptions & { graceSeconds?: number } = {}): Promise<void> {
    const query = options.graceSeconds === undefined ? '' : `?t=${options.graceSeconds}`;
    return this.#void('stop', `/containers/${quote(id)}/stop${query}`, { ...options, unlimited: true });
  }

  kill(id: string, options: CallOptions & { killSignal?: string } = {}): Promise<void> {
    return this.#void('kill', `/containers/${quote(id)}/kill?signal=${options.killSignal ?? 'SIGKILL'}`, options);
  }

  /** Resolves to the exit status once the container does not run. */
  async wait(id: string, options?: CallOptions): Promise<number> {
    const path = `/containers/${quote(id)}/wait?condition=not-running`;
    const answer = await this.#json<{ StatusCode: number }>('wait', 'POST', path, { ...options, unlimited: true });
    return answer.StatusCode;
  }

  rename(id: string, name: string, options?: CallOptions): Promise<void> {
    return this.#void('rename', `/containers/${quote(id)}/rename?name=${quote(name)}`, options);
  }

  /** @param options.volumes removes its anonymous volumes, too */
  remove(id: string, options: CallOptions & { force?: boolean; volumes?: boolean } = {}): Promise<void> {
    const query = `force=${options.force ?? false}&v=${options.volumes ?? false}`;
    return this.#void('rm', `/containers/${quote(id)}?${query}`, { ...options, method: 'DELETE', unlimited: true });
  }

  update(id: string, change: { RestartPolicy: RestartPolicy }, options?: CallOptions): Promise<void> {
    return this.#void('update', `/containers/${quote(id)}/update`, { ...options, body: change });
  }

  /** Images with a name and, with `all`, those that only are parents of others. */
  images(options: CallOptions & { all?: boolean } = {}): Promise<ImageSummary[]> {
    return this.#json('images', 'GET', `/images/json?all=${options.all ?? false}`, options);
  }

  inspectImage(name: string, options?: CallOptions): Promise<ImageInspect> {
    return this.#json('image inspect', 'GET', `/images/${quote(name)}/json`, options);
  }

  /** The image as a tar stream; without tags where `name` is an id. An engine that fails midway cuts the stream off. */
  saveImage(name: string, options: CallOptions = {}): Promise<Readable> {
    return this.#timed('save', options, async () => {
      const answer = await this.#call('save', 'GET', `/images/${quote(name)}/get`, { ...options, unlimited: true });
      return answer.body;
    });
  }

  /** Takes a tar stream in. Resolves to the engine's last words, e.g. `Loaded image ID: sha256:…`. */
  loadImage(tar: Readable, options: CallOptions = {}): Promise<string> {
    return this.#timed('load', options, async () => {
      const call = { ...options, body: tar, unlimited: true };
      const answer = await this.#call('load', 'POST', '/images/load?quiet=1', call);
      return lastProgress(await answer.body.text());
    });
  }

  /** @param tag `repository:tag` */
  tagImage(id: string, tag: string, options?: CallOptions): Promise<void> {
    const colon = tag.lastIndexOf(':');
    const query = `repo=${quote(tag.slice(0, colon))}&tag=${quote(tag.slice(colon + 1))}`;
    return this.#void('tag', `/images/${quote(id)}/tag?${query}`, options);
  }

  /** Removes a tag, and with its last tag the image; never one that a container uses. */
  removeImage(name: string, options?: CallOptions): Promise<void> {
    return this.#void('rmi', `/images/${quote(name)}`, { ...options, method: 'DELETE', unlimited: true });
  }

  networks(options?: CallOptions): Promise<NetworkInspect[]> {
    return this.#json('network ls', 'GET', '/networks', options);
  }

  inspectNetwork(name: string, options?: CallOptions): Promise<NetworkInspect> {
    return this.#json('network inspect', 'GET', `/networks/${quote(name)}`, options);
  }

  async createNetwork(body: NetworkCreateBody, options?: CallOptions): Promise<string> {
    return (await this.#json<{ Id: string }>('network create', 'POST', '/networks/create', { ...options, body })).Id;
  }

  removeNetwork(name: string, options?: CallOptions): Promise<void> {
    return this.#void('network rm', `/networks/${quote(name)}`, { ...options, method: 'DELETE' });
  }

  connect(network: string, container: string, endpoint: EndpointConfig, options?: CallOptions): Promise<void> {
    const body = { Container: container, EndpointConfig: endpoint };
    return this.#void('network connect', `/networks/${quote(network)}/connect`, { ...options, body });
  }

  disconnect(network: string, container: string, options: CallOptions & { force?: boolean } = {}): Promise<void> {
    const body = { Container: container, Force: options.force ?? false };
    return this.#void('network disconnect', `/networks/${quote(network)}/disconnect`, { ...options, body });
  }

  async volumes(options?: CallOptions): Promise<VolumeInspect[]> {
    const answer = await this.#json<{ Volumes: VolumeInspect[] | null }>('volume ls', 'GET', '/volumes', options);
    return answer.Volumes ?? [];
  }

  inspectVolume(name: string, options?: CallOptions): Promise<VolumeInspect> {
    return this.#json('volume inspect', 'GET', `/volumes/${quote(name)}`, options);
  }

  /** The engine answers with the volume that is there where one of that name and driver is. */
  createVolume(body: VolumeCreateBody, options?: CallOptions): Promise<VolumeInspect> {
    return this.#json('volume create', 'POST', '/volumes/create', { ...options, body });
  }

  removeVolume(name: string, options: CallOptions & { force?: boolean } = {}): Promise<void> {
    const path = `/volumes/${quote(name)}?force=${options.force ?? false}`;
    return this.#void('volume rm', path, { ...options, method: 'DELETE' });
  }

  #json<T>(what: string, method: Method, path: string, options: Call = {}): Promise<T> {
    return this.#timed(what, options, async () => {
      const answer = await this.#call(what, method, path, options);
      return (await answer.body.json()) as T;
    });
  }

  #void(what: string, path: string, options: Call & { method?: Method } = {}): Promise<void> {
    return this.#timed(what, options, async () => {
      const answer = await this.#call(what, options.method ?? 'POST', path, options);
      await answer.body.dump();
    });
  }

  async #call(what: string, method: Method, path: string, options: Call): Promise<Dispatcher.ResponseData> {
    return this.#request(what, method, `/v${await this.api()}${path}`, options);
  }

  async #negotiate(): Promise<string> {
    const options = { signal: AbortSignal.timeout(20_000) };
    const { Version, ApiVersion } = await this.#timed('version', options, async () => {
      const answer = await this.#request('version', 'GET', '/version', options);
      return (await answer.body.json()) as SystemVersion;
    });
    if (compareApi(ApiVersion, OLDEST_API) < 0) {
      throw new DrayageError('DOCKER_TOO_OLD', `Docker ${Version} speaks API ${ApiVersion}; ${OLDEST_API} is needed.`);
    }
    return compareApi(ApiVersion, NEWEST_API) > 0 ? NEWEST_API : ApiVersion;
  }

  async #request(what: string, method: Method, path: string, options: Call): Promise<Dispatcher.ResponseData> {
    const answer = await this.#pool.request({
      method,
      path,
      ...encode(options.body),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.unlimited ? { headersTimeout: 0, bodyTimeout: 0 } : {}),
    });
    if (answer.statusCode >= 400) throw refusal(what, answer.statusCode, await answer.body.text());
    return answer;
  }

  /** The one place where a call is recorded and its failure gets a code. */
  async #timed<T>(what: string, { signal }: CallOptions, call: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await call();
    } catch (error) {
      if (error instanceof DrayageError) throw error;
      signal?.throwIfAborted();
      throw new DrayageError('DOCKER_UNREACHABLE', `Docker does not answer at ${this.#socketPath} (${text(error)}).`, {
        cause: error,
      });
    } finally {
      this.#record?.(`docker ${what}`, startedAt, performance.now() - startedAt);
    }
  }
}

/** Order of two API versions, `1.9` before `1.43`. */
export function compareApi(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

export function isNotFound(error: unknown): boolean {
  return error instanceof DrayageError && error.code === 'DOCKER_NOT_FOUND';
}

type Method = 'GET' | 'POST' | 'DELETE';

interface Call extends CallOptions {
  /** JSON, or a stream as it is. */
  body?: object | Readable;
  /** No time limit: neither for the first byte of the answer nor between two. */
  unlimited?: boolean;
}

function encode(body: Call['body']): { body?: string | Readable; headers?: Record<string, string> } {
  if (body === undefined) return {};
  if (body instanceof Stream) return { body: body as Readable, headers: { 'content-type': 'application/x-tar' } };
  return { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
}

function refusal(what: string, status: number, body: string): DrayageError {
  const code = status === 404 ? 'DOCKER_NOT_FOUND' : 'DOCKER_REFUSED';
  return new DrayageError(code, `docker ${what}: ${daemonMessage(body) || `HTTP status ${status}`}`);
}

function daemonMessage(body: string): string {
  try {
    return (JSON.parse(body) as { message: string }).message.trim();
  } catch {
    return body.trim();
  }
}

/** An error inside a load comes with status 200, as a line of its progress. */
function lastProgress(body: string): string {
  let last = '';
  for (const line of body.split('\n')) {
    if (line.trim() === '') continue;
    const { stream, error } = JSON.parse(line) as { stream?: string; error?: string };
    if (error !== undefined) throw new DrayageError('DOCKER_REFUSED', `docker load: ${error.trim()}`);
    if (stream !== undefined) last = stream.trim();
  }
  return last;
}

function quote(part: string): string {
  return encodeURIComponent(part);
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
