/** A replay as the host sees it that it builds on: everything that is made is in the journal first. */
import { type Duplex, Readable } from 'node:stream';
import { cloneSpec } from '../../engines/docker/clone.ts';
import { createCopy } from '../../engines/docker/create-copy.ts';
import { planImage } from '../../engines/docker/image-plan.ts';
import { receiveImage } from '../../engines/docker/images.ts';
import type { HostFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import { runner } from '../../exec/run.ts';
import { undoResources } from '../../migration/copy-resources.ts';
import type { Journal } from '../../migration/journal.ts';
import { openResources } from '../../migration/journal-records.ts';
import { type Resource, toJournal } from '../../migration/resource.ts';
import { untilDone } from '../../migration/until-done.ts';
import { Docker } from '../../tools/docker.ts';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import { entriesOf } from '../proof/manifest.ts';
import { buildLines } from './build-progress.ts';
import { chunksOf, room, send } from './json-lines.ts';
import { type Finished, imageName, type OpenReplay, type ReplayChannel } from './target-port.ts';

interface ReplaySessionOptions {
  request: OpenReplay;
  journal: Journal;
  host: HostFacts;
  stopping: AbortSignal;
}

const NO_RESTART = { Name: 'no' };

export class ReplaySession {
  readonly id: string;
  readonly #request: OpenReplay;
  readonly #journal: Journal;
  readonly #host: HostFacts;
  readonly #stopping: AbortSignal;
  readonly #docker = new Docker();
  readonly #abort = new AbortController();
  readonly #working = new Set<Promise<unknown>>();
  #image: string | undefined;
  /** Of the build that is under way: the image that the last step has made. */
  #lastStep: string | undefined;
  #ending: Promise<void> | undefined;

  /** @param stopping ends the waiting for an engine that is not back; the agent's next start undoes the rest */
  constructor({ request, journal, host, stopping }: ReplaySessionOptions) {
    this.id = request.id;
    this.#request = request;
    this.#journal = journal;
    this.#host = host;
    this.#stopping = stopping;
  }

  /** Serves a channel that the source opened. */
  channel(stream: Duplex, what: ReplayChannel): Promise<void> {
    return this.#while(() => this.#serve(stream, what));
  }

  async finish(start: boolean): Promise<Finished> {
    if (this.#image === undefined) throw gone(this.id);
    const started = start ? await this.#while(() => this.#start()) : { notes: [] };
    if (this.#ending !== undefined) throw gone(this.id);
    this.#ending = this.#keep();
    await this.#ending;
    return { image: this.#tag, ...started };
  }

  /** Takes back what was made; nothing happens where it was finished. */
  abort(reason: string): Promise<void> {
    this.#ending ??= this.#undo(reason);
    return this.#ending;
  }

  /** An undo waits for work that is under way. */
  async #while<T>(work: () => Promise<T>): Promise<T> {
    if (this.#ending !== undefined) throw gone(this.id);
    const working = work();
    const settled = working.then(
      () => {},
      () => {},
    );
    this.#working.add(settled);
    return working.finally(() => this.#working.delete(settled));
  }

  get #tag(): string {
    return imageName(this.#request.workload.ref.name, this.id);
  }

  #serve(stream: Duplex, what: ReplayChannel): Promise<void> {
    switch (what) {
      case 'image':
        return this.#receiveImage(stream);
      case 'build':
        return this.#build(stream);
      case 'manifest':
        return this.#manifest(stream);
      default:
        return what satisfies never;
    }
  }

  async #receiveImage(stream: Duplex): Promise<void> {
    const image = planImage(this.#request.workload.image, this.#host);
    await this.#acquire({ kind: 'image', id: image.id, tags: image.tags });
    await receiveImage(this.#docker, stream, image, { signal: this.#abort.signal });
    stream.end();
  }

  async #build(stream: Duplex): Promise<void> {
    const { signal } = this.#abort;
    const there = [await this.#docker.images({ all: true, signal }), await this.#docker.containers({ signal })].flat();
    const before = new Set(there.map(({ Id }) => Id));
    await this.#acquire({ kind: 'built', name: this.#tag });
    // Whoever sends a stream as the body of a request destroys it at its end, and the answer goes the other way.
    const context = Readable.from(chunksOf(stream), { objectMode: false });
    const answer = await this.#docker.build(context, this.#tag, { signal });
    for await (const line of buildLines(answer)) {
      if (line.type === 'made') await this.#acquireStep(line.id, before);
      else if (line.type === 'runs') await this.#acquireRun(line.id, before);
      else {
        if (line.type === 'built') this.#image = (await this.#docker.inspectImage(this.#tag)).Id;
        send(stream, line);
      }
    }
    stream.end();
  }

  /** A build that fails leaves the images of its steps. What a program of the build says must not name another one. */
  async #acquireStep(shortId: string, before: ReadonlySet<string>): Promise<void> {
    const id = (await this.#docker.inspectImage(shortId).catch(() => undefined))?.Id;
    this.#lastStep = id;
    if (id !== undefined && !before.has(id)) await this.#acquire({ kind: 'built', name: id });
  }

  /** While it is there, the images below it cannot be removed. The builder removes it by itself, in its own time. */
  async #acquireRun(shortId: string, before: ReadonlySet<string>): Promise<void> {
    const { Id: id, Image } = (await this.#docker.inspect(shortId).catch(() => undefined)) ?? {};
    if (id === undefined || before.has(id) || Image !== this.#lastStep) return;
    await this.#acquire({ kind: 'container', temporaryName: id, id, restartPolicy: NO_RESTART });
  }

  /** A container that never runs shows the image's files as those of the other container are shown. */
  async #manifest(stream: Duplex): Promise<void> {
    if (this.#image === undefined) throw new DrayageError('PROTOCOL', 'There is no image yet.');
    const { signal } = this.#abort;
    const temporaryName = `drayage-${this.id}`;
    await this.#acquire({ kind: 'container', temporaryName, restartPolicy: NO_RESTART });
    const body = { Image: this.#image, Cmd: ['true'], Entrypoint: [''], HostConfig: { NetworkMode: 'none' } };
    const { id } = await this.#docker.create(temporaryName, body);
    for await (const entry of entriesOf(await this.#docker.exportContainer(id, { signal }))) {
      if (!send(stream, entry)) await room(stream);
    }
    await this.#docker.remove(id, { force: true, volumes: true });
    await this.#journal.append({ type: 'released', key: `container:${temporaryName}` });
    stream.end();
  }

  /** The container gets its name only when it is there: an undo must not find another one by it. */
  async #start(): Promise<{ containerId: string; notes: string[] }> {
    const { signal } = this.#abort;
    const { workload } = this.#request;
    const inspect = workload.inspect as ContainerInspect;
    const spec = cloneSpec(workload, this.#host, { carryBinds: false });
    for (const body of spec.networks) {
      await this.#acquire({ kind: 'network', name: body.Name });
      await this.#docker.createNetwork(body);
    }
    for (const body of spec.volumes) {
      await this.#acquire({ kind: 'volume', name: body.Name });
      await this.#docker.createVolume(body);
    }
    const { restartPolicy } = spec;
    const temporaryName = `drayage-${this.id}-copy`;
    await this.#acquire({ kind: 'container', temporaryName, restartPolicy });
    spec.createBody.Image = this.#tag;
    spec.createBody.Env = await this.#environment(inspect);
    spec.createBody.HostConfig = {
      ...spec.createBody.HostConfig,
      Runtime: inspect.HostConfig.Runtime === 'drayage' ? 'runc' : (inspect.HostConfig.Runtime ?? 'runc'),
      RestartPolicy: restartPolicy,
    };
    const { id, readdressed } = await createCopy(this.#docker, temporaryName, spec, { signal });
    await this.#acquire({ kind: 'container', temporaryName, restartPolicy, id });
    await this.#docker.rename(id, workload.ref.name, { signal });
    await this.#docker.start(id, { signal });
    const mounts = inspect.Mounts.filter(({ Type }) => Type === 'bind' || Type === 'volume').map(
      (mount) => mount.Destination,
    );
    return {
      containerId: id,
      notes: [
        ...readdressed.map((network) => `it got another address on the network ${network}`),
        ...(mounts.length === 0 ? [] : [`what is mounted is not carried by a replay: ${mounts.join(', ')}`]),
      ],
    };
  }

  /** Inspect shows a container's variables merged with its image's: what it had from there is what the new image has. */
  async #environment({ Config }: ContainerInspect): Promise<string[]> {
    const { id, reference } = this.#request.workload.image;
    const original = await this.#docker.inspectImage(id).catch(() => this.#docker.inspectImage(reference));
    const inherited = new Set(original.Config?.Env ?? []);
    return (Config.Env ?? []).filter((variable) => !inherited.has(variable));
  }

  /** The state comes first: from this record on a recovery keeps what there is. */
  async #keep(): Promise<void> {
    await this.#journal.append({ type: 'state', state: 'released' });
    for (const { key } of openResources(this.#journal.records)) await this.#journal.append({ type: 'released', key });
    await this.#close();
  }

  async #undo(reason: string): Promise<void> {
    this.#abort.abort(new DrayageError('CANCELLED', reason));
    await Promise.all(this.#working);
    try {
      await this.#journal.append({ type: 'state', state: 'aborted', data: { reason } });
      const tools = { docker: this.#docker, run: runner() };
      await untilDone(this.#stopping, () => undoResources(this.#journal, tools));
    } finally {
      await this.#close();
    }
  }

  async #close(): Promise<void> {
    await this.#journal.close();
    await this.#docker[Symbol.asyncDispose]();
  }

  #acquire(resource: Resource): Promise<void> {
    return this.#journal.append({ type: 'acquired', resource: toJournal(resource) });
  }
}

function gone(id: string): DrayageError {
  return new DrayageError('MIGRATION_UNKNOWN', `Replay ${id} is not under way here.`);
}
