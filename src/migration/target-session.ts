/**
 * A migration as the target sees it: makes the copy step by step, holds it back until the commit record is on disk,
 * and takes everything back where there is no commit. See target-port.ts for what it owes the source.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { cloneSpec } from '../engines/docker/clone.ts';
import { killContainerProcesses } from '../engines/docker/container-processes.ts';
import { createCopy } from '../engines/docker/create-copy.ts';
import { placeGuard } from '../engines/docker/guard.ts';
import { planImage } from '../engines/docker/image-plan.ts';
import { receiveImage } from '../engines/docker/images.ts';
import { logFileOf } from '../engines/docker/log-file.ts';
import { Rendezvous } from '../engines/docker/rendezvous.ts';
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { type Run, runner } from '../exec/run.ts';
import { LogCopy } from '../files/log-copy.ts';
import { type Listing, type PruneResult, pruneTree, receiveTree } from '../files/target.ts';
import { receiveImages } from '../memory/receive.ts';
import { TouchedMemory } from '../memory/touch.ts';
import { Docker } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { mountTmpfs } from '../tools/tmpfs.ts';
import type { Flow } from '../traffic/facts.ts';
import { installTarget, unsealTargets } from '../traffic/forward.ts';
import { introduce, portsOf, takePlace } from '../traffic/neighbours.ts';
import type { ForwardStore } from '../traffic/store.ts';
import { bridgeOf, innerDevices, movedAddresses, type Neighbour, neighboursOf } from '../traffic/workload.ts';
import { AddressArrival } from './address-arrival.ts';
import { allOf } from './all-of.ts';
import { type Arrival, arrivalOf, keepArrival } from './arrival.ts';
import { isCommitted, releaseCopy, undoResources } from './copy-resources.ts';
import type { Span } from './events.ts';
import { explainFailure } from './explain-failure.ts';
import type { Journal } from './journal.ts';
import { lastState, type State } from './journal-records.ts';
import { carriedTrees } from './plan.ts';
import { type Resource, toJournal } from './resource.ts';
import { STAGE_DIR } from './stage.ts';
import type { ArrivingTraffic, ChannelPurpose, CommitAnswer, CreatedCopy, OpenTarget } from './target-port.ts';
import { Trace } from './trace.ts';
import { untilDone } from './until-done.ts';

const UNDO_WAIT_MS = 10_000;
/** For CRIU and runc to end by themselves, which they do within milliseconds of an abort. */
const ABORT_WAIT_MS = 2000;
const STEP_POLL_MS = 100;
/** Many times what it takes. */
const RESTORE_LIMIT = { ms: 60_000, bytesPerMs: 50_000 };

/** What a channel's opener says about it. */
const metaSchema = {
  files: z.object({ key: z.string(), pass: z.enum(['first', 'final']), isFile: z.boolean() }),
  memory: z.object({ imagesBytes: z.number().int().positive() }),
};

interface Copy {
  containerId: string;
  name: string;
  /** Where each tree goes: raw before the start, through the mounted root file system after it. */
  roots: Map<string, { first: string; final: string }>;
  /** Undefined where the log driver keeps the log elsewhere. */
  log: LogCopy | undefined;
  /** Devices of its networks on this host, by the networks' names. */
  bridges: Map<string, string>;
  /** Others on these networks. */
  neighbours: (Neighbour & { bridge: string })[];
}

export class TargetSession {
  readonly id: string;
  readonly #request: OpenTarget;
  readonly #journal: Journal;
  readonly #host: HostFacts;
  readonly #docker: Docker;
  readonly #run: Run;
  readonly #trace: Trace;
  readonly #stopping: AbortSignal;
  readonly #abort = new AbortController();
  readonly #inflight = new Set<Promise<void>>();
  /** The stream of memory images: open from before the freeze until all is there. */
  #memory: Promise<void> | undefined;
  #staged: Promise<void> | undefined;
  #touched: TouchedMemory | undefined;
  /** Everything is restored, and nothing has run. */
  #ready = false;
  #failed: unknown;
  #copy: Copy | undefined;
  #arrival: Arrival | undefined;
  /** Undefined where it has none of its own. */
  #addresses: AddressArrival | undefined;
  readonly #forwards: ForwardStore;
  #rendezvous: Rendezvous | undefined;
  #started: Promise<void> | undefined;
  #unlocked: Promise<void> | undefined;
  /** Of the copy, where it comes home to this host. */
  #ports: { mac: string; port: string }[] = [];
  #committing: Promise<CommitAnswer> | undefined;
  #ending: Promise<void> | undefined;
  #cleaning: Promise<void> | undefined;
  #releasing: Promise<{ spans: Span[]; notes: string[] }> | undefined;
  readonly #steps = new Set<Promise<unknown>>();

  constructor({
    request,
    journal,
    host,
    stopping,
    forwards,
  }: {
    request: OpenTarget;
    journal: Journal;
    host: HostFacts;
    /** The agent is being stopped: what waits for an engine is left to its next start. */
    stopping: AbortSignal;
    forwards: ForwardStore;
  }) {
    this.id = request.id;
    this.#forwards = forwards;
    this.#stopping = stopping;
    this.#request = request;
    this.#journal = journal;
    this.#host = host;
    this.#trace = new Trace('target');
    this.#docker = new Docker({ record: this.#trace.program });
    this.#run = runner({ record: this.#trace.program });
  }

  get state(): State | undefined {
    return lastState(this.#journal.records);
  }

  /** Serves a channel that the source opened. What fails here fails the next call, too. */
  async channel(stream: Duplex, purpose: ChannelPurpose, meta: unknown): Promise<void> {
    const work = this.#receive(stream, purpose, meta);
    const settled = work.catch((error: unknown) => {
      this.#failed ??= error;
    });
    if (purpose === 'memory') {
      this.#memory = settled;
      return work;
    }
    this.#inflight.add(settled);
    void settled.then(() => this.#inflight.delete(settled));
    return work;
  }

  async settle(): Promise<void> {
    while (this.#inflight.size > 0) await Promise.all(this.#inflight);
    this.#check();
  }

  create(): Promise<CreatedCopy> {
    return this.#step(() => this.#create());
  }

  async #create(): Promise<CreatedCopy> {
    await this.settle();
    const { workload, options, parents } = this.#request;
    const spec = cloneSpec(workload, this.#host, { ...options, parents });
    for (const body of spec.networks) {
      await this.#acquire({ kind: 'network', name: body.Name });
      await this.#docker.createNetwork(body);
    }
    this.#addresses = await AddressArrival.seal({
      ...{ id: this.id, container: workload.ref.name, own: workload.traffic?.own ?? [] },
      ...{ docker: this.#docker, run: this.#run },
      acquire: (resource) => this.#acquire(resource),
    });
    for (const body of spec.volumes) {
      await this.#acquire({ kind: 'volume', name: body.Name });
      await this.#docker.createVolume(body);
    }
    for (const { path, carried } of spec.bindSources) if (carried) await this.#makeBindSource(path);
    const temporaryName = `drayage-${this.id}`;
    const { restartPolicy } = spec;
    await this.#acquire({ kind: 'container', temporaryName, restartPolicy });
    const { id: containerId, readdressed } = await createCopy(this.#docker, temporaryName, spec);
    await this.#acquire({ kind: 'container', temporaryName, restartPolicy, id: containerId });
    await this.#acquire({ kind: 'guard', containerId });
    await placeGuard(containerId, this.id);
    await this.#docker.rename(containerId, workload.ref.name);
    const inspect = await this.#docker.inspect(containerId);
    const layer = inspect.GraphDriver?.Data;
    if (layer?.UpperDir === undefined || layer.MergedDir === undefined) {
      throw new DrayageError(
        'TARGET_STORAGE',
        `The target's engine does not tell where ${workload.ref.name} keeps its files.`,
      );
    }
    const roots = new Map([['upper', { first: layer.UpperDir, final: layer.MergedDir }]]);
    for (const tree of carriedTrees(workload.files, options))
      roots.set(tree.key, roots.get(tree.key) ?? (await this.#rootOf(tree)));
    const names = Object.keys(inspect.NetworkSettings.Networks);
    const networks = await Promise.all(names.map((name) => this.#docker.inspectNetwork(name)));
    const file = logFileOf(inspect, this.#host.docker?.dataRoot ?? '/var/lib/docker');
    this.#copy = {
      containerId,
      name: workload.ref.name,
      roots,
      log: file === undefined ? undefined : new LogCopy(file),
      bridges: new Map(networks.map((network) => [network.Name, bridgeOf(network) ?? ''])),
      neighbours: networks.flatMap((network) => {
        const others = neighboursOf((id) => id === containerId, network);
        return others.map((one) => ({ ...one, bridge: bridgeOf(network) ?? '' }));
      }),
    };
    return { containerId, notes: readdressed.map(noteReaddressed) };
  }

  #workloadName(): string {
    const { engine, name } = this.#request.workload.ref;
    return `${engine}:${name}`;
  }

  begin(start: { descriptors: string[] }): Promise<void> {
    return this.#step(() => this.#begin(start));
  }

  async #begin({ descriptors }: { descriptors: string[] }): Promise<void> {
    await this.settle();
    const { containerId } = this.#created();
    if (this.#staged === undefined)
      throw new DrayageError('PROTOCOL', 'The source skipped a step: there is no stream of memory images.');
    await this.#staged;
    const imagesDir = this.#imagesDir();
    await writeFile(join(imagesDir, 'descriptors.json'), JSON.stringify(descriptors), { mode: 0o600 });
    await this.#acquire({ kind: 'rendezvous', containerId });
    this.#rendezvous = await Rendezvous.open({
      containerId,
      imagesDir,
      criuPath: this.#host.criu?.path ?? '/usr/sbin/criu',
      criuOptions: this.#request.options.dropConnections ? ['tcp-close'] : [],
      ...(this.#addresses && { rules: this.#addresses.copyRules }),
      run: this.#run,
    });
    await this.#state('restoring');
    this.#check();
    this.#started = this.#docker.start(containerId);
    this.#started.catch(() => {});
    await this.#reach('waiting');
  }

  prune(key: string, listings: Listing[]): Promise<PruneResult> {
    return pruneTree({ root: this.#root(key).final, listings, signal: this.#abort.signal });
  }

  restore(traffic?: ArrivingTraffic): Promise<void> {
    return this.#step(() => this.#restore(traffic));
  }

  async #restore(traffic: ArrivingTraffic | undefined): Promise<void> {
    await this.#memory;
    await this.settle();
    const rendezvous = this.#rendezvous as Rendezvous;
    const addresses = [...(traffic === undefined ? [] : localAddresses(traffic)), ...this.#lateAddresses()];
    rendezvous.giveImages(addresses);
    // CRIU sets up namespaces first, and takes the memory some 100 ms later.
    void this.#touched?.release();
    const wired = this.#trace.step('engine wires network', () => this.#reach('wired'));
    const ready = this.#trace.step('criu restore', () => this.#inTime(this.#reach('ready')));
    const receiving = wired.then(() => traffic && this.#receiveTraffic(traffic));
    const arriving = wired.then(() => this.#addresses?.wired(rendezvous.initPid()));
    await allOf(ready, receiving, arriving);
    this.#check();
    // For whoever reads the journal. On disk it decides nothing: before `committed` all is undone.
    this.#journal.appendLazy({ type: 'state', state: 'ready', data: { arrival: this.#arrival } });
    // Beside the records of the commit, before which it is to be done.
    if (addresses.length > 0) this.#unlocked = rendezvous.unlockNetwork(this.#run);
    this.#unlocked?.catch(() => {});
    this.#ready = true;
  }

  /** With a terminal the engine makes the devices when all is restored, and sockets need their addresses before. */
  #lateAddresses(): readonly string[] {
    const { Config } = this.#request.workload.inspect as ContainerInspect;
    return Config.Tty === true ? (this.#addresses?.addresses ?? []) : [];
  }

  /**
   * From here on the other host's packets find the copy, and nothing of it gets out until the commit.
   * @throws DrayageError ADDRESS_NOT_KEPT where the copy cannot be found for connections that are open
   */
  async #receiveTraffic(traffic: ArrivingTraffic): Promise<void> {
    const pid = (this.#rendezvous as Rendezvous).initPid();
    const wanted = [traffic, ...traffic.older].flatMap(({ addresses }) => addresses);
    const inner = await innerDevices(this.#run, pid);
    const moved = movedAddresses(wanted, inner);
    const lost = flowsOf(traffic).find(({ address }) => moved[address] === null);
    if (lost !== undefined && !this.#request.options.dropConnections) {
      throw new DrayageError('ADDRESS_NOT_KEPT', `The copy has nothing in the place of ${lost.address}.`);
    }
    const { bridges, neighbours } = this.#created();
    const arrival = arrivalOf({
      id: this.id,
      workload: this.#workloadName(),
      traffic,
      moved,
      taken: new Set(neighbours.map(({ address }) => address)),
      bridges,
    });
    for (const { id, side } of arrival.sides) {
      await this.#acquire({ kind: 'forward', id, side });
      await installTarget(this.#run, { ...side, sealed: true });
    }
    const network = await readNetwork(this.#run);
    // Without it they ask each other.
    const sides = arrival.sides.map(({ side }) => side);
    await introduce(this.#run, { pid, inner, sides, neighbours, network }).catch(() => {});
    if (arrival.home.length > 0) this.#ports = portsOf({ inner, network });
    this.#arrival = arrival;
  }

  /** The commit point: the record is on disk before the workload runs. */
  commit(): Promise<CommitAnswer> {
    if (this.#ending !== undefined || !this.#ready) {
      return Promise.resolve({ outcome: 'aborted', reason: `the copy is ${this.state}, not ready` });
    }
    this.#committing ??= this.#commit();
    return this.#committing;
  }

  /** Makes the copy an ordinary container of its engine, once. */
  release(): Promise<{ spans: Span[]; notes: string[] }> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  async #release(): Promise<{ spans: Span[]; notes: string[] }> {
    const notes: string[] = [];
    await this.#started?.catch((error: unknown) => notes.push(`docker start reported: ${(error as Error).message}`));
    // The engine has its answer when the workload runs; CRIU has mounts of its own in the rendezvous until it ends.
    await this.#rendezvous?.until('ended', AbortSignal.timeout(UNDO_WAIT_MS)).catch(() => {});
    this.#rendezvous?.close();
    notes.push(...(await this.#keepForwards()), ...((await this.#addresses?.settle()) ?? []));
    await untilDone(this.#stopping, () => releaseCopy(this.#journal, { docker: this.#docker, run: this.#run }));
    const { State: state } = await this.#docker
      .inspect(this.#created().containerId)
      .catch(() => ({ State: undefined }));
    if (state?.Running === false) notes.push(`the copy has ended since, with exit status ${state.ExitCode}`);
    return { spans: this.#trace.spans, notes };
  }

  /** Takes everything back; refused after the commit. Waits for the tidying up, but not for ever. */
  async abort(reason: string): Promise<{ spans: Span[] }> {
    if ((await this.outcome(reason)) === 'committed') {
      throw new DrayageError('ALREADY_COMMITTED', `Migration ${this.id} is committed; it cannot be undone.`);
    }
    await Promise.race([this.cleaned(), sleep(UNDO_WAIT_MS, undefined, { ref: false })]);
    return { spans: this.#trace.spans };
  }

  /**
   * Final: a migration that has not begun to commit can never commit after this, and nothing of its copy runs; one that
   * has is waited for. It does not wait for an engine that is away: the source is frozen while it asks.
   */
  async outcome(reason: string): Promise<'committed' | 'aborted'> {
    // A commit that could not be recorded has given no GO.
    const answer = await this.#committing?.catch(() => undefined);
    if (answer?.outcome === 'running') return 'committed';
    await this.#end(reason);
    return 'aborted';
  }

  /** Resolves when nothing of an aborted migration is left; rejects where the agent is stopped before that. */
  cleaned(): Promise<void> {
    this.#cleaning ??= this.#clean();
    return this.#cleaning;
  }

  async close(): Promise<void> {
    await this.#journal.close();
    await this.#docker[Symbol.asyncDispose]();
  }

  async #commit(): Promise<CommitAnswer> {
    const rendezvous = this.#rendezvous as Rendezvous;
    await this.#unlocked;
    await Promise.all([this.#trace.step('record commit', () => this.#state('committed')), this.#unseal()]);
    rendezvous.giveCommit();
    const announced = this.#announce();
    await takePlace(this.#run, this.#ports).catch(() => {}); // The forward of before is changed soon, and with it this.
    const resumed = await this.#trace.step('criu resume', () => rendezvous.hasResumed());
    const resumedAt = performance.now();
    await announced;
    if (resumed && (await this.#trace.step('engine notes start', () => this.#isEngines()))) {
      this.#state('running').catch(() => {}); // Recovery finds out by itself where this record is missing.
      return { outcome: 'running', sinceMs: performance.now() - resumedAt };
    }
    // CRIU failed in its last steps, or the engine died before it had taken note of the copy: it would never know it.
    const { message: reason } = await this.#restoreError();
    await this.#end(reason);
    return { outcome: 'aborted', reason };
  }

  async #announce(): Promise<void> {
    const addresses = this.#addresses;
    if (addresses !== undefined) await this.#trace.step('announce address', () => addresses.announce());
  }

  /** It comes to nothing if the record cannot be written: then no task of the copy ever runs. */
  async #unseal(): Promise<void> {
    const sides = this.#arrival?.sides ?? [];
    await Promise.all([
      sides.length > 0 &&
        unsealTargets(
          this.#run,
          sides.map(({ id }) => id),
        ),
      this.#addresses?.open(),
    ]);
  }

  /** Kept over a restart of the host from now on. What fails here is told: the workload runs. */
  async #keepForwards(): Promise<string[]> {
    if (this.#arrival === undefined) return [];
    try {
      await keepArrival(this.#run, this.#forwards, this.#arrival);
      return [];
    } catch (error) {
      return [`a forward is not kept: ${DrayageError.from(error).message}`];
    }
  }

  /** Whether the engine has the copy as a running container, which it says some milliseconds after the tasks run. */
  async #isEngines(): Promise<boolean> {
    try {
      await Promise.race([this.#started, this.#givenUp()]);
      return true;
    } catch {
      const signal = AbortSignal.timeout(ABORT_WAIT_MS);
      const { State: state } = await this.#docker
        .inspect(this.#created().containerId, { signal })
        .catch(() => ({ State: undefined }));
      return state?.Running === true;
    }
  }

  /** Rejects where the runtime failed, and the engine does not get over it: it would wait for tasks that it cannot end. */
  async #givenUp(): Promise<void> {
    const rendezvous = this.#rendezvous as Rendezvous;
    await rendezvous.until('ended');
    if (rendezvous.status === 0) return this.#started;
    await sleep(ABORT_WAIT_MS, undefined, { ref: false });
    throw new DrayageError('RESTORE_FAILED', 'The runtime failed before the engine had taken note of the copy.');
  }

  /** Puts on record that this migration never commits, and sees to it that nothing of the copy runs. */
  #end(reason: string): Promise<void> {
    this.#ending ??= this.#recordEnd(reason).catch((error: unknown) => {
      this.#ending = undefined; // Whoever asks next tries again.
      throw error;
    });
    return this.#ending;
  }

  async #recordEnd(reason: string): Promise<void> {
    // On disk first: after a crash in the middle of the undo nothing may commit any more.
    const recorded = this.#state('aborted', { reason });
    // A journal that cannot be written says `ready` at most, which a restart undoes as well; `committed` must be taken back.
    await (isCommitted(this.state) ? recorded : recorded.catch(() => {}));
    this.#abort.abort(new DrayageError('CANCELLED', reason));
    await this.#endRestore();
    void this.cleaned().catch(() => {}); // Repeated by the next start where the agent is stopped meanwhile.
  }

  async #clean(): Promise<void> {
    // A step that the abort has overtaken may still make something, a restore even.
    while (this.#steps.size > 0) {
      await this.#endRestore();
      await Promise.race([Promise.allSettled(this.#steps), sleep(STEP_POLL_MS)]);
    }
    await this.#endRestore();
    await Promise.race([this.#started?.catch(() => {}), sleep(UNDO_WAIT_MS, undefined, { ref: false })]);
    this.#rendezvous?.close();
    await this.#touched?.release();
    await untilDone(this.#stopping, () => undoResources(this.#journal, { docker: this.#docker, run: this.#run }));
  }

  /** A step of the source, which an undo waits for before it takes back what there is. */
  #step<T>(work: () => Promise<T>): Promise<T> {
    const step = work();
    this.#steps.add(step);
    const done = () => void this.#steps.delete(step);
    step.then(done, done);
    return step;
  }

  async #receive(stream: Duplex, purpose: ChannelPurpose, meta: unknown): Promise<void> {
    const { signal } = this.#abort;
    switch (purpose) {
      case 'image': {
        const image = planImage(this.#request.workload.image, this.#host);
        await this.#acquire({ kind: 'image', id: image.id, tags: image.tags });
        await this.#trace.step('docker load', () => receiveImage(this.#docker, stream, image, { signal }));
        stream.end();
        return;
      }
      case 'files': {
        const { key, pass, isFile } = metaSchema.files.parse(meta);
        await receiveTree({ root: this.#root(key)[pass], isFile, stream, signal, record: this.#trace.program });
        return;
      }
      case 'logs':
        await this.#created().log?.receive(stream, { signal });
        return;
      case 'memory': {
        const { imagesBytes } = metaSchema.memory.parse(meta);
        this.#staged ??= this.#makeStage(imagesBytes);
        await this.#staged;
        await receiveImages(this.#imagesDir(), stream);
        return;
      }
      default:
        purpose satisfies never;
    }
  }

  async #makeStage(imagesBytes: number): Promise<void> {
    const stage = join(STAGE_DIR, this.id);
    await this.#acquire({ kind: 'stage', path: stage });
    await mountTmpfs(this.#run, stage, imagesBytes);
    await mkdir(this.#imagesDir(), { mode: 0o700 });
    this.#touched = TouchedMemory.begin(join(stage, 'touched'), this.#request.workload.memoryBytes);
  }

  #imagesDir(): string {
    return join(STAGE_DIR, this.id, 'images');
  }

  /** Where a tree goes. The peer names only what is the workload's own; everything else on this host is none of it. */
  async #rootOf(tree: WorkloadFacts['files'][number]): Promise<{ first: string; final: string }> {
    const { workload, options } = this.#request;
    const mounts = (workload.inspect as ContainerInspect).Mounts;
    if (tree.kind === 'volume') {
      const name = tree.key.slice('volume:'.length);
      if (!Object.hasOwn(workload.volumes, name)) throw foreignTree(tree.key);
      const { Mountpoint, Driver } = await this.#docker.inspectVolume(name);
      if (Driver !== 'local') throw foreignTree(tree.key);
      return { first: Mountpoint, final: Mountpoint };
    }
    const isOwn = mounts.some(({ Type, Source }) => Type === 'bind' && Source === tree.path);
    if (!isOwn || carriedTrees([tree], options).length === 0) throw foreignTree(tree.key);
    return { first: tree.path, final: tree.path };
  }

  /** Journaled where it is not there yet, from the topmost directory that is missing. */
  async #makeBindSource(path: string): Promise<void> {
    let missing: string | undefined;
    for (let at = path; !existsSync(at); at = dirname(at)) missing = at;
    if (missing !== undefined) await this.#acquire({ kind: 'directory', path: missing });
    await mkdir(dirname(path), { recursive: true });
  }

  #root(key: string): { first: string; final: string } {
    const root = this.#created().roots.get(key);
    if (root === undefined) throw foreignTree(key);
    return root;
  }

  #created(): Copy {
    if (this.#copy === undefined)
      throw new DrayageError('PROTOCOL', 'The source skipped a step: the copy has not been created.');
    return this.#copy;
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
    this.#abort.signal.throwIfAborted();
  }

  async #acquire(resource: Resource): Promise<void> {
    this.#check();
    await this.#journal.append({ type: 'acquired', resource: toJournal(resource) });
  }

  async #state(state: State, data?: unknown): Promise<void> {
    await this.#journal.append({ type: 'state', state, ...(data === undefined ? {} : { data }) });
  }

  /** The source is frozen meanwhile: what hangs must end, however unlikely. @throws DrayageError RESTORE_FAILED */
  async #inTime(restored: Promise<void>): Promise<void> {
    const limitMs = RESTORE_LIMIT.ms + this.#request.workload.memoryBytes / RESTORE_LIMIT.bytesPerMs;
    const late = sleep(limitMs, 'late' as const, { ref: false });
    if ((await Promise.race([restored, late])) !== 'late') return;
    throw new DrayageError('RESTORE_FAILED', `The restore did not end within ${Math.round(limitMs / 1000)} s.`);
  }

  /** @throws DrayageError RESTORE_FAILED where the restore ends before that step, or the engine gives up. */
  async #reach(step: 'waiting' | 'wired' | 'ready'): Promise<void> {
    const gaveUp = (this.#started as Promise<void>).then(
      () => false,
      () => false,
    );
    const reached = await Promise.race([(this.#rendezvous as Rendezvous).until(step), gaveUp]);
    if (!reached) throw await this.#restoreError();
  }

  /** When it resolves nothing of the copy runs any more, also where runc or CRIU were killed and left something behind. */
  async #endRestore(): Promise<void> {
    if (this.#rendezvous === undefined) return;
    await this.#addresses?.shut();
    this.#rendezvous.abort();
    await this.#rendezvous.until('ended', AbortSignal.timeout(ABORT_WAIT_MS)).catch(() => {});
    await killContainerProcesses(this.#created().containerId);
  }

  async #restoreError(): Promise<DrayageError> {
    await this.#endRestore(); // Otherwise the engine would wait for tasks that a killed CRIU left half restored.
    const gaveUp = this.#started?.then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    const engine = await Promise.race([gaveUp, sleep(UNDO_WAIT_MS, undefined, { ref: false })]);
    const log = (await this.#rendezvous?.log()) ?? '';
    return explainFailure('RESTORE_FAILED', 'CRIU could not restore the workload on the target', log, engine);
  }
}

/** That the copy must have, for itself or for connections that are open. */
function localAddresses(traffic: ArrivingTraffic): string[] {
  const all = [traffic, ...traffic.older].flatMap(({ addresses }) => addresses);
  return [...new Set(all.map(({ address }) => address))];
}

function flowsOf(traffic: ArrivingTraffic): Flow[] {
  return [traffic, ...traffic.older].flatMap(({ flows }) => flows).filter(({ protocol }) => protocol === 'tcp');
}

function foreignTree(key: string): DrayageError {
  return new DrayageError(
    'PROTOCOL',
    `The source named a tree of files ${JSON.stringify(key)} that is not the workload's.`,
  );
}

function noteReaddressed(network: string): string {
  return `on network ${network} the copy has another address: its subnet was chosen by the engine, which gives no fixed ones there`;
}
