/**
 * A migration as the target sees it: makes the copy step by step, holds it back until the commit record is on disk,
 * and takes everything back where there is no commit. See target-port.ts for what it owes the source.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ContainerCopy, foreignTree } from '../engines/docker/container-copy.ts';
import { killContainerProcesses } from '../engines/docker/container-processes.ts';
import { HELD_INVENTORY, INVENTORY, type Rendezvous } from '../engines/docker/rendezvous.ts';
import type { CopyMaker, TreeRoot } from '../engines/engine.ts';
import { criuPathOf, type HostFacts, isTree } from '../engines/facts.ts';
import { TreeCopy } from '../engines/process/tree-copy.ts';
import { DrayageError } from '../errors.ts';
import { type Run, runner } from '../exec/run.ts';
import { applyChanges, unpackTree } from '../files/packed.ts';
import { rewriteShort, type ShortFile } from '../files/short-files.ts';
import { type Listing, type PruneResult, pruneTree, receiveTree } from '../files/target.ts';
import { receiveImages } from '../memory/receive.ts';
import { TouchedMemory } from '../memory/touch.ts';
import { readyBreakpoints } from '../tools/breakpoints.ts';
import { Docker } from '../tools/docker.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { mountTmpfs } from '../tools/tmpfs.ts';
import type { Flow, PublishedPort } from '../traffic/facts.ts';
import { installTarget, unsealTargets } from '../traffic/forward.ts';
import { introduce, portsOf, takePlace } from '../traffic/neighbours.ts';
import type { Arriving, Relays } from '../traffic/relays.ts';
import type { ForwardStore } from '../traffic/store.ts';
import { innerDevices, movedAddresses } from '../traffic/workload.ts';
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
import { Trial } from './trial.ts';
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
  changes: z.object({ key: z.string() }),
  memory: z.object({ imagesBytes: z.number().int().positive() }),
};

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
  /** Everything is restored, and nothing has run; or, by restart, all has come. */
  #ready = false;
  /** By restart, of a workload that ran. */
  #trial: Trial | undefined;
  #failed: unknown;
  readonly #maker: CopyMaker;
  /** The copy has been made. */
  #isMade = false;
  #arrival: Arrival | undefined;
  /** Undefined where it has none of its own. */
  #addresses: AddressArrival | undefined;
  readonly #forwards: ForwardStore;
  readonly #relays: Relays;
  #rendezvous: Rendezvous | undefined;
  /** Of the files that have come in the freeze so far. */
  #completing: Promise<void> | undefined;
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
    relays,
  }: {
    request: OpenTarget;
    journal: Journal;
    host: HostFacts;
    /** The agent is being stopped: what waits for an engine is left to its next start. */
    stopping: AbortSignal;
    forwards: ForwardStore;
    relays: Relays;
  }) {
    this.id = request.id;
    this.#forwards = forwards;
    this.#relays = relays;
    this.#stopping = stopping;
    this.#request = request;
    this.#journal = journal;
    this.#host = host;
    this.#trace = new Trace('target');
    this.#docker = new Docker({ record: this.#trace.program });
    this.#run = runner({ record: this.#trace.program });
    this.#maker = this.#makerOf(request);
  }

  get state(): State | undefined {
    return lastState(this.#journal.records);
  }

  /** It never commits; the last word of its journal may be another, of a step that the end has overtaken. */
  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Serves a channel that the source opened. What fails here fails the next call, too. */
  async channel(stream: Duplex, purpose: ChannelPurpose, meta: unknown): Promise<void> {
    const work = this.#receive(stream, purpose, meta);
    const settled = work.catch((error: unknown) => {
      if (this.#request.archive === undefined) this.#failed ??= error;
    });
    if (purpose === 'memory') {
      this.#memory = settled;
      return work;
    }
    this.#completing = undefined;
    this.#inflight.add(settled);
    void settled.then(() => this.#inflight.delete(settled));
    return work;
  }

  settle(): Promise<void> {
    return this.#step(() => this.#settle());
  }

  async #settle(): Promise<void> {
    while (this.#inflight.size > 0) await Promise.all(this.#inflight);
    this.#check();
    // What comes after the begin comes in the freeze.
    if (this.#rendezvous === undefined) return;
    await this.#complete();
  }

  #complete(): Promise<void> {
    this.#completing ??= this.#trace.step('complete files', () => this.#maker.complete(this.#abort.signal));
    return this.#completing;
  }

  create(): Promise<CreatedCopy> {
    return this.#step(() => this.#create());
  }

  async #create(): Promise<CreatedCopy> {
    await this.#settle();
    const { id: containerId, notes } = await this.#maker.create();
    this.#isMade = true;
    return { containerId, notes };
  }

  #makerOf({ workload, options, parents }: OpenTarget): CopyMaker {
    const common = {
      id: this.id,
      options,
      host: this.#host,
      run: this.#run,
      acquire: (resource: Resource) => this.#acquire(resource),
    };
    if (isTree(workload)) return new TreeCopy({ ...common, workload });
    const trees = carriedTrees(workload.files, options);
    const step = <T>(name: string, work: () => Promise<T>) => this.#trace.step(name, work);
    const networked = async (): Promise<void> => {
      // By restart nobody else has them while the copy is tried, and it may need them to become healthy.
      const own = options.strategy === 'restart' ? [] : (workload.traffic?.own ?? []);
      this.#addresses = await AddressArrival.seal({
        ...{ id: this.id, container: workload.ref.name, own },
        ...{ docker: this.#docker, run: this.#run, acquire: common.acquire },
      });
    };
    const forContainer = { workload, trees, docker: this.#docker, step, networked, options: { ...options, parents } };
    return new ContainerCopy({ ...common, ...forContainer });
  }

  #published(): readonly PublishedPort[] {
    const { workload } = this.#request;
    return isTree(workload) ? [] : (workload.traffic?.published ?? []);
  }

  #workloadName(): string {
    const { engine, name } = this.#request.workload.ref;
    return `${engine}:${name}`;
  }

  #arriving(): Arriving {
    const { workload } = this.#request;
    return { workload: this.#workloadName(), listening: isTree(workload) ? workload.listening : [] };
  }

  begin(start: { descriptors: string[] }): Promise<void> {
    return this.#step(() => this.#begin(start));
  }

  async #begin({ descriptors }: { descriptors: string[] }): Promise<void> {
    await this.#settle();
    this.#made();
    if (this.#staged === undefined)
      throw new DrayageError('PROTOCOL', 'The source skipped a step: there is no stream of memory images.');
    await this.#staged;
    await this.#state('restoring');
    this.#check();
    const criuOptions = this.#request.options.dropConnections ? ['tcp-close'] : [];
    const { rendezvous, started } = await this.#maker.start({
      ...{ imagesDir: this.#imagesDir(), descriptors, criuOptions },
      ...(this.#addresses && { rules: this.#addresses.copyRules }),
    });
    this.#rendezvous = rendezvous;
    this.#started = started;
    await this.#reach('waiting');
    if (this.#request.archive !== undefined) return; // Nobody waits.
    const breakpoints = { run: this.#run, criuPath: criuPathOf(this.#host), dir: join(STAGE_DIR, this.id) };
    await this.#trace.step('ready breakpoints', () => readyBreakpoints(breakpoints));
  }

  prune(key: string, listings: Listing[]): Promise<PruneResult> {
    return pruneTree({ root: this.#root(key).final, listings, signal: this.#abort.signal });
  }

  rewrite(key: string, files: readonly ShortFile[]): Promise<boolean> {
    return this.#step(() => this.#rewrite(key, files));
  }

  async #rewrite(key: string, files: readonly ShortFile[]): Promise<boolean> {
    this.#check();
    if (this.#rendezvous === undefined || !isTree(this.#request.workload))
      throw new DrayageError('PROTOCOL', 'Only files of a tree of processes, in the freeze, are written over.');
    if (!rewriteShort(this.#root(key).final, files)) return false;
    // What might have come by a stream has come: rsync takes 100 ms to end where its other end has gone.
    this.#inflight.clear();
    this.#completing = undefined;
    await this.#complete();
    return true;
  }

  restore(traffic?: ArrivingTraffic): Promise<void> {
    return this.#step(() => this.#restore(traffic));
  }

  async #restore(traffic: ArrivingTraffic | undefined): Promise<void> {
    await this.#memory;
    await this.#settle();
    await this.#relays.pause(this.#arriving());
    const rendezvous = this.#rendezvous as Rendezvous;
    const addresses = [...(traffic === undefined ? [] : localAddresses(traffic)), ...this.#lateAddresses()];
    rendezvous.giveImages(addresses);
    // CRIU sets up namespaces first, and takes the memory some 100 ms later.
    void this.#touched?.release();
    const wired = this.#trace.step('engine wires network', () => this.#inTime(this.#reach('wired')));
    const ready = this.#trace.step('criu restore', () => this.#inTime(this.#reach('ready')));
    const receiving = wired.then(
      () => traffic && this.#receiveTraffic(traffic, { pid: rendezvous.initPid(), sealed: true }),
    );
    const arriving = wired.then(() => this.#addresses?.wired(rendezvous.initPid()));
    await allOf(ready, receiving, arriving);
    this.#becomeReady();
    // Beside the records of the commit, before which it is to be done.
    if (addresses.length > 0) this.#unlocked = rendezvous.unlockNetwork(this.#run);
    this.#unlocked?.catch(() => {});
  }

  start(traffic?: ArrivingTraffic): Promise<void> {
    return this.#step(() => this.#start(traffic));
  }

  async #start(traffic: ArrivingTraffic | undefined): Promise<void> {
    await this.#settle();
    const { key: containerId } = this.#made();
    const { workload, options } = this.#request;
    if (isTree(workload)) throw new DrayageError('PROTOCOL', 'A tree of processes cannot be started anew.');
    if (workload.state !== 'running') return this.#becomeReady();
    await this.#state('trying');
    this.#check();
    const { healthyUrl } = options;
    const common = { docker: this.#docker, stopping: this.#stopping };
    const trial = new Trial({ migrationId: this.id, containerId, healthyUrl, ...common });
    this.#trial = trial;
    const pid = await this.#trace.step('docker start', () => trial.start());
    const receiving = traffic && this.#receiveTraffic(traffic, { pid, sealed: false });
    await receiving?.catch(async (error: unknown) => {
      throw await trial.explain(error);
    });
    this.#becomeReady();
  }

  #becomeReady(): void {
    this.#check();
    // For whoever reads the journal. On disk it decides nothing: before `committed` all is undone.
    this.#journal.appendLazy({ type: 'state', state: 'ready', data: { arrival: this.#arrival } });
    this.#ready = true;
  }

  /** With a terminal the engine makes the devices when all is restored, and sockets need their addresses before. */
  #lateAddresses(): readonly string[] {
    const { workload } = this.#request;
    if (isTree(workload)) return [];
    const { Config } = workload.inspect as ContainerInspect;
    return Config.Tty === true ? (this.#addresses?.addresses ?? []) : [];
  }

  /**
   * From here on the other host's packets find the copy; `sealed`, nothing of it gets out until the commit.
   * @throws DrayageError ADDRESS_NOT_KEPT where the copy cannot be found for connections that are open
   */
  async #receiveTraffic(traffic: ArrivingTraffic, { pid, sealed }: { pid: number; sealed: boolean }): Promise<void> {
    const wanted = [traffic, ...traffic.older].flatMap(({ addresses }) => addresses);
    const inner = await innerDevices(this.#run, pid);
    const moved = movedAddresses(wanted, inner);
    const lost = flowsOf(traffic).find(({ address }) => moved[address] === null);
    if (lost !== undefined && !this.#request.options.dropConnections) {
      throw new DrayageError('ADDRESS_NOT_KEPT', `The copy has nothing in the place of ${lost.address}.`);
    }
    const { bridges, neighbours } = this.#made();
    const arrival = arrivalOf({
      id: this.id,
      workload: this.#workloadName(),
      traffic,
      published: this.#published(),
      moved,
      taken: new Set(neighbours.map(({ address }) => address)),
      bridges,
    });
    for (const { id, side } of arrival.sides) {
      await this.#acquire({ kind: 'forward', id, side });
      await installTarget(this.#run, { ...side, sealed });
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
    this.#committing ??= this.#request.options.strategy === 'restart' ? this.#commitRestart() : this.#commit();
    return this.#committing;
  }

  /** Makes the copy an ordinary container of its engine, once. */
  release(): Promise<{ spans: Span[]; notes: string[] }> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  async #release(): Promise<{ spans: Span[]; notes: string[] }> {
    const notes: string[] = [];
    await this.#started?.catch((error: unknown) =>
      notes.push(`the start of the copy reported: ${(error as Error).message}`),
    );
    // The engine has its answer when the workload runs; CRIU has mounts of its own in the rendezvous until it ends.
    await this.#rendezvous?.until('ended', AbortSignal.timeout(UNDO_WAIT_MS)).catch(() => {});
    this.#rendezvous?.close();
    notes.push(...(await this.#keepForwards()), ...((await this.#addresses?.settle()) ?? []));
    const tools = { docker: this.#docker, run: this.#run };
    notes.push(...(await untilDone(this.#stopping, () => releaseCopy(this.#journal, tools))));
    await this.#relays.forget(this.#arriving());
    const ran = this.#rendezvous !== undefined || this.#trial !== undefined;
    const ending = ran ? await this.#made().ending() : undefined;
    if (ending !== undefined) notes.push(`the copy has ended since, ${ending}`);
    return { spans: this.#trace.spans, notes };
  }

  /** Takes everything back; refused after the commit. Waits for the tidying up, but not for ever. */
  async abort(reason: string): Promise<{ spans: Span[] }> {
    this.#trial?.giveUp(reason);
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

  /** The commit point of a restart: the copy has been running for a while, and from here on it stays. */
  async #commitRestart(): Promise<CommitAnswer> {
    const trial = this.#trial;
    try {
      if (trial !== undefined) await this.#trace.step('until healthy', () => trial.healthy());
    } catch (error) {
      const { message: reason } = DrayageError.from(error);
      await this.#end(reason);
      return { outcome: 'aborted', reason };
    }
    await this.#trace.step('record commit', () =>
      this.#state('committed', { restart: { running: trial !== undefined } }),
    );
    await takePlace(this.#run, this.#ports).catch(() => {});
    return { outcome: 'running', sinceMs: 0 };
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
      return this.#made().isKept();
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
    // Of a step that was on its way to the journal meanwhile.
    if (this.state !== 'aborted') await this.#state('aborted', { reason: 'it was undone' });
    await Promise.race([this.#started?.catch(() => {}), sleep(UNDO_WAIT_MS, undefined, { ref: false })]);
    this.#rendezvous?.close();
    await this.#touched?.release();
    this.#relays.resume(this.#arriving());
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
      case 'image':
        return this.#maker.receive(purpose, stream, signal);
      case 'files': {
        const { key, pass, isFile } = metaSchema.files.parse(meta);
        const where = { root: this.#root(key)[pass], isFile };
        // A source that has not sent all goes no further than to the undo.
        await receiveTree({ ...where, stream, signal, record: this.#trace.program, trustsSource: pass === 'final' });
        return;
      }
      case 'tar': {
        const { key, pass, isFile } = metaSchema.files.parse(meta);
        await unpackTree({ root: this.#root(key).first, pass, isFile, stream, signal });
        return;
      }
      case 'changes':
        await applyChanges({ root: this.#root(metaSchema.changes.parse(meta).key).first, stream, signal });
        return;
      case 'logs':
        return this.#made().receive(purpose, stream, signal);
      case 'memory': {
        const { imagesBytes } = metaSchema.memory.parse(meta);
        this.#staged ??= this.#makeStage(imagesBytes);
        await this.#staged;
        await receiveImages(this.#imagesDir(), stream, new Map([[INVENTORY, HELD_INVENTORY]]));
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

  #root(key: string): TreeRoot {
    const root = this.#made().root(key);
    if (root === undefined) throw foreignTree(key);
    return root;
  }

  #made(): CopyMaker {
    if (!this.#isMade) throw new DrayageError('PROTOCOL', 'The source skipped a step: the copy has not been created.');
    return this.#maker;
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
    this.#abort.signal.throwIfAborted();
    // Its end is on its way to the disk: what came behind it in the journal would be its last word.
    if (this.#ending !== undefined) throw new DrayageError('CANCELLED', 'The migration was undone meanwhile.');
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
    await this.#trial?.end();
    if (this.#rendezvous === undefined) return;
    await this.#addresses?.shut();
    this.#rendezvous.abort();
    await this.#rendezvous.until('ended', AbortSignal.timeout(ABORT_WAIT_MS)).catch(() => {});
    await killContainerProcesses(this.#maker.key);
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
