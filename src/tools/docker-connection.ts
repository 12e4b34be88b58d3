/** One engine's HTTP API on a unix socket: versions, time limits, errors. What is asked is in docker.ts. */
import { type Readable, Stream } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { DrayageError } from '../errors.ts';
import type { ProgramRecorder } from '../exec/run.ts';
import type { SystemVersion } from './docker-types.ts';

export interface DockerOptions {
  /** Default: /var/run/docker.sock */
  socketPath?: string;
  /** Told of each call as `docker <what>`. */
  record?: ProgramRecorder;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface Call extends CallOptions {
  /** JSON, or a stream as it is. */
  body?: object | Readable;
  /** No time limit: neither for the first byte of the answer nor between two. */
  unlimited?: boolean;
}

export type Method = 'GET' | 'POST' | 'DELETE';

/** Newest API that docker.ts was written against; a newer engine is spoken to in this one. */
const NEWEST_API = '1.51';
/** Docker 24: the first with annotations, and the oldest whose inspect tells all that a copy needs. */
const OLDEST_API = '1.43';

export class DockerConnection implements AsyncDisposable {
  readonly #socketPath: string;
  readonly #pool: Pool;
  readonly #record: ProgramRecorder | undefined;
  #negotiated: Promise<string> | undefined;

  constructor({ socketPath = '/var/run/docker.sock', record }: DockerOptions) {
    this.#socketPath = socketPath;
    this.#record = record;
    // A pool, because a start may wait for minutes while other calls go on.
    this.#pool = new Pool('http://docker', { socketPath });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  /** The API version in use, negotiated with the first call, and again after a failure. */
  api(): Promise<string> {
    this.#negotiated ??= this.#negotiate().catch((error: unknown) => {
      this.#negotiated = undefined;
      throw error;
    });
    return this.#negotiated;
  }

  json<T>(what: string, method: Method, path: string, options: Call = {}): Promise<T> {
    return this.#timed(what, options, async () => (await (await this.#call(what, method, path, options)).json()) as T);
  }

  text(what: string, method: Method, path: string, options: Call = {}): Promise<string> {
    return this.#timed(what, options, async () => (await this.#call(what, method, path, options)).text());
  }

  /** Resolves when the answer begins. */
  stream(what: string, path: string, options: Call & { method?: Method } = {}): Promise<Readable> {
    return this.#timed(what, options, () => this.#call(what, options.method ?? 'GET', path, options));
  }

  async #call(what: string, method: Method, path: string, options: Call): Promise<Body> {
    return this.#request(what, method, `/v${await this.api()}${path}`, options);
  }

  async #negotiate(): Promise<string> {
    const options = { signal: AbortSignal.timeout(20_000) };
    const { Version, ApiVersion } = await this.#timed('version', options, async () => {
      const answer = await this.#request('version', 'GET', '/version', options);
      return (await answer.json()) as SystemVersion;
    });
    if (compareApi(ApiVersion, OLDEST_API) < 0) {
      throw new DrayageError('DOCKER_TOO_OLD', `Docker ${Version} speaks API ${ApiVersion}; ${OLDEST_API} is needed.`);
    }
    return compareApi(ApiVersion, NEWEST_API) > 0 ? NEWEST_API : ApiVersion;
  }

  async #request(what: string, method: Method, path: string, options: Call): Promise<Body> {
    const { statusCode, body } = await this.#pool.request({
      method,
      path,
      ...encode(options.body),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.unlimited ? { headersTimeout: 0, bodyTimeout: 0 } : {}),
    });
    if (statusCode >= 400) throw refusal(what, statusCode, await body.text());
    return body;
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

type Body = Dispatcher.ResponseData['body'];

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

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
