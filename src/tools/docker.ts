/** Docker's Engine API over its unix socket: what drayage asks of it, typed. */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import { type Call, type CallOptions, DockerConnection, type DockerOptions, type Method } from './docker-connection.ts';
import type {
  Change,
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

const EXEC_POLL_MS = 50;

type ExecState = { Running: boolean; ExitCode: number | null };

/**
 * A client of one engine. Every method throws a DrayageError: DOCKER_UNREACHABLE, DOCKER_TOO_OLD, DOCKER_NOT_FOUND,
 * DOCKER_REFUSED (with the daemon's own message), or the reason of an aborted signal.
 */
export class Docker implements AsyncDisposable {
  readonly #connection: DockerConnection;

  constructor(options: DockerOptions = {}) {
    this.#connection = new DockerConnection(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }

  /** The API version in use, e.g. `1.45`: the server's, or the newest known here. */
  api(): Promise<string> {
    return this.#connection.api();
  }

  version(options?: CallOptions): Promise<SystemVersion> {
    return this.#connection.json('version', 'GET', '/version', options);
  }

  info(options?: CallOptions): Promise<SystemInfo> {
    return this.#connection.json('info', 'GET', '/info', options);
  }

  /** All containers, stopped ones too. */
  containers(options?: CallOptions): Promise<ContainerSummary[]> {
    return this.#connection.json('ps', 'GET', '/containers/json?all=1', options);
  }

  /** `size`: with the bytes of the writable layer, which the engine counts file by file. */
  inspect(id: string, options: CallOptions & { size?: boolean } = {}): Promise<ContainerInspect> {
    const path = `/containers/${quote(id)}/json?size=${options.size ?? false}`;
    return this.#connection.json('inspect', 'GET', path, options);
  }

  async create(
    name: string,
    body: ContainerCreateBody,
    options?: CallOptions,
  ): Promise<{ id: string; warnings: string[] }> {
    const path = `/containers/create?name=${quote(name)}`;
    // The engine copies an image's files into new volumes here, which may take its time.
    const answer = await this.#connection.json<{ Id: string; Warnings: string[] | null }>('create', 'POST', path, {
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
    return this.#do('start', 'POST', `/containers/${quote(id)}/start`, { ...options, unlimited: true });
  }

  /** @param graceSeconds after which it is killed; default: the container's own stop timeout */
  stop(id: string, options: CallOptions & { graceSeconds?: number } = {}): Promise<void> {
    const query = options.graceSeconds === undefined ? '' : `?t=${options.graceSeconds}`;
    return this.#do('stop', 'POST', `/containers/${quote(id)}/stop${query}`, { ...options, unlimited: true });
  }

  kill(id: string, options: CallOptions & { killSignal?: string } = {}): Promise<void> {
    return this.#do('kill', 'POST', `/containers/${quote(id)}/kill?signal=${options.killSignal ?? 'SIGKILL'}`, options);
  }

  /**
   * Runs a command in a running container, as its user and in its working directory. Resolves to the exit status;
   * aborting gives up waiting.
   */
  async exec(id: string, command: readonly string[], options: CallOptions = {}): Promise<number> {
    const body = { Cmd: [...command] };
    const path = `/containers/${quote(id)}/exec`;
    const exec = await this.#connection.json<{ Id: string }>('exec', 'POST', path, { ...options, body });
    await this.#do('exec start', 'POST', `/exec/${exec.Id}/start`, { ...options, body: { Detach: true } });
    for (;;) {
      const state = await this.#connection.json<ExecState>('exec inspect', 'GET', `/exec/${exec.Id}/json`, options);
      if (!state.Running) return state.ExitCode ?? 255;
      await sleep(EXEC_POLL_MS, undefined, options);
    }
  }

  /** Resolves to the exit status once the container does not run. */
  async wait(id: string, options?: CallOptions): Promise<number> {
    const path = `/containers/${quote(id)}/wait?condition=not-running`;
    const answer = await this.#connection.json<{ StatusCode: number }>('wait', 'POST', path, {
      ...options,
      unlimited: true,
    });
    return answer.StatusCode;
  }

  rename(id: string, name: string, options?: CallOptions): Promise<void> {
    return this.#do('rename', 'POST', `/containers/${quote(id)}/rename?name=${quote(name)}`, options);
  }

  /** @param options.volumes removes its anonymous volumes, too */
  remove(id: string, options: CallOptions & { force?: boolean; volumes?: boolean } = {}): Promise<void> {
    const query = `force=${options.force ?? false}&v=${options.volumes ?? false}`;
    return this.#do('rm', 'DELETE', `/containers/${quote(id)}?${query}`, { ...options, unlimited: true });
  }

  update(id: string, change: { RestartPolicy: RestartPolicy }, options?: CallOptions): Promise<void> {
    return this.#do('update', 'POST', `/containers/${quote(id)}/update`, { ...options, body: change });
  }

  /** Paths of the writable layer; none where nothing was changed. */
  async changes(id: string, options?: CallOptions): Promise<Change[]> {
    const path = `/containers/${quote(id)}/changes`;
    return (await this.#connection.json<Change[] | null>('diff', 'GET', path, { ...options, unlimited: true })) ?? [];
  }

  /** The container's file system as a tar stream, without what is mounted into it; also of one that never ran. */
  exportContainer(id: string, options?: CallOptions): Promise<Readable> {
    return this.#connection.stream('export', `/containers/${quote(id)}/export`, { ...options, unlimited: true });
  }

  /** One path of the container, a directory with all that is in it, as a tar stream. */
  archive(id: string, path: string, options?: CallOptions): Promise<Readable> {
    return this.#connection.stream('cp', `/containers/${quote(id)}/archive?path=${quote(path)}`, options);
  }

  /**
   * Builds an image with the engine's classic builder, which needs no session; the answer is its progress, one JSON
   * object a line: `stream`, `aux.ID` and `error`, which comes with status 200.
   * @param context a tar stream with the Dockerfile
   */
  build(context: Readable, tag: string, options?: CallOptions): Promise<Readable> {
    const call = { ...options, method: 'POST' as const, body: context, unlimited: true };
    return this.#connection.stream('build', `/build?t=${quote(tag)}&rm=1&forcerm=1`, call);
  }

  /** Images with a name and, with `all`, those that only are parents of others. */
  images(options: CallOptions & { all?: boolean } = {}): Promise<ImageSummary[]> {
    return this.#connection.json('images', 'GET', `/images/json?all=${options.all ?? false}`, options);
  }

  inspectImage(name: string, options?: CallOptions): Promise<ImageInspect> {
    return this.#connection.json('image inspect', 'GET', `/images/${quote(name)}/json`, options);
  }

  /** The image as a tar stream; without tags where `name` is an id. An engine that fails midway cuts the stream off. */
  saveImage(name: string, options?: CallOptions): Promise<Readable> {
    return this.#connection.stream('save', `/images/${quote(name)}/get`, { ...options, unlimited: true });
  }

  /** Takes a tar stream in. Resolves to the engine's last words, e.g. `Loaded image ID: sha256:…`. */
  async loadImage(tar: Readable, options?: CallOptions): Promise<string> {
    const call = { ...options, body: tar, unlimited: true };
    return lastProgress(await this.#connection.text('load', 'POST', '/images/load?quiet=1', call));
  }

  /** @param tag `repository:tag` */
  tagImage(id: string, tag: string, options?: CallOptions): Promise<void> {
    const colon = tag.lastIndexOf(':');
    const query = `repo=${quote(tag.slice(0, colon))}&tag=${quote(tag.slice(colon + 1))}`;
    return this.#do('tag', 'POST', `/images/${quote(id)}/tag?${query}`, options);
  }

  /** Removes a tag, and with its last tag the image and its parents without a tag; never one that a container uses. */
  removeImage(
    name: string,
    { keepParents = false, ...options }: CallOptions & { keepParents?: boolean } = {},
  ): Promise<void> {
    const path = `/images/${quote(name)}?noprune=${keepParents}`;
    return this.#do('rmi', 'DELETE', path, { ...options, unlimited: true });
  }

  networks(options?: CallOptions): Promise<NetworkInspect[]> {
    return this.#connection.json('network ls', 'GET', '/networks', options);
  }

  /** A line of JSON for every container that is connected to a network, starts or ends, from now on; ends with the engine. */
  networkChanges(options?: CallOptions): Promise<Readable> {
    const filters = JSON.stringify({ type: ['network', 'container'], event: ['connect', 'start', 'die'] });
    return this.#connection.stream('events', `/events?filters=${encodeURIComponent(filters)}`, {
      ...options,
      unlimited: true,
    });
  }

  inspectNetwork(name: string, options?: CallOptions): Promise<NetworkInspect> {
    return this.#connection.json('network inspect', 'GET', `/networks/${quote(name)}`, options);
  }

  async createNetwork(body: NetworkCreateBody, options?: CallOptions): Promise<string> {
    const call = { ...options, body };
    return (await this.#connection.json<{ Id: string }>('network create', 'POST', '/networks/create', call)).Id;
  }

  removeNetwork(name: string, options?: CallOptions): Promise<void> {
    return this.#do('network rm', 'DELETE', `/networks/${quote(name)}`, options);
  }

  connect(network: string, container: string, endpoint: EndpointConfig, options?: CallOptions): Promise<void> {
    const body = { Container: container, EndpointConfig: endpoint };
    return this.#do('network connect', 'POST', `/networks/${quote(network)}/connect`, { ...options, body });
  }

  disconnect(network: string, container: string, options: CallOptions & { force?: boolean } = {}): Promise<void> {
    const body = { Container: container, Force: options.force ?? false };
    return this.#do('network disconnect', 'POST', `/networks/${quote(network)}/disconnect`, { ...options, body });
  }

  async volumes(options?: CallOptions): Promise<VolumeInspect[]> {
    type Answer = { Volumes: VolumeInspect[] | null };
    return (await this.#connection.json<Answer>('volume ls', 'GET', '/volumes', options)).Volumes ?? [];
  }

  inspectVolume(name: string, options?: CallOptions): Promise<VolumeInspect> {
    return this.#connection.json('volume inspect', 'GET', `/volumes/${quote(name)}`, options);
  }

  /** The engine answers with the volume that is there where one of that name and driver is. */
  createVolume(body: VolumeCreateBody, options?: CallOptions): Promise<VolumeInspect> {
    return this.#connection.json('volume create', 'POST', '/volumes/create', { ...options, body });
  }

  removeVolume(name: string, options: CallOptions & { force?: boolean } = {}): Promise<void> {
    const path = `/volumes/${quote(name)}?force=${options.force ?? false}`;
    return this.#do('volume rm', 'DELETE', path, options);
  }

  async #do(what: string, method: Method, path: string, options?: Call): Promise<void> {
    await this.#connection.text(what, method, path, options);
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof DrayageError && error.code === 'DOCKER_NOT_FOUND';
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
