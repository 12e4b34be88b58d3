/** The agent: the service on each host. Composes the two roles, source and target, behind one socket. */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { Key } from '../archive/encryption.ts';
import { dockerHostFacts } from '../engines/docker/host.ts';
import type { HostFacts, TreeQuestion, TreeSurroundings } from '../engines/facts.ts';
import { surveySurroundings } from '../engines/process/surroundings.ts';
import { DrayageError } from '../errors.ts';
import { runner } from '../exec/run.ts';
import { ARCHIVE, archiveOutcome, removeLeftPartial } from '../migration/archive/archive-outcome.ts';
import { archiveOf, recoverImport } from '../migration/archive/recover-import.ts';
import { gather } from '../migration/facts.ts';
import { Journal } from '../migration/journal.ts';
import type { JournalFile } from '../migration/journal-file.ts';
import {
  eventsOf,
  type JournalRecord,
  lastState,
  migrationIdSchema,
  openResources,
} from '../migration/journal-records.ts';
import { hostNetwork, repoint } from '../migration/older-forwards.ts';
import { recoverSource, recoverTarget, startedOf } from '../migration/recover.ts';
import { decide } from '../migration/strategy.ts';
import type { TargetPort } from '../migration/target-port.ts';
import { untilDone } from '../migration/until-done.ts';
import { Docker } from '../tools/docker.ts';
import { readNetwork } from '../tools/ip-network.ts';
import { type Capabilities, isAble, probeTraffic, type TrafficFacts } from '../traffic/capabilities.ts';
import { answered } from '../traffic/in-use.ts';
import { answerPath, removePaths } from '../traffic/path.ts';
import { Relays } from '../traffic/relays.ts';
import { ForwardStore, forwardedHere } from '../traffic/store.ts';
import { type AgentProtocol, agentProtocol } from './agent-protocol.ts';
import { ArchiveStreams } from './archive-streams.ts';
import { Archives } from './archives.ts';
import { connectSsh } from './client.ts';
import type { Connection } from './connection.ts';
import { Forwards } from './forwards.ts';
import { surveyHost } from './host-facts.ts';
import { listContainers, listProcessTrees } from './list-workloads.ts';
import { localTarget } from './local-target.ts';
import { machineId } from './machine-id.ts';
import { Migrations } from './migrations.ts';
import type { ArchiveFile } from './opened-archive.ts';
import type { Handlers } from './protocol.ts';
import { remoteTarget, type Target } from './remote-target.ts';
import { draftReplay } from './replay-draft.ts';
import { Replays } from './replays.ts';
import { serve } from './server.ts';
import { Targets } from './targets.ts';
import { Terminals } from './terminals.ts';
import { Turns } from './turns.ts';

export interface AgentOptions {
  version: string;
  /** Journals, guards. */
  stateDir: string;
  /** Socket and what else is gone with a reboot. */
  runDir: string;
  log: (line: string) => void;
  /** Ends the agent: what can be undone is undone first. */
  signal: AbortSignal;
}

/** Serves until `signal` aborts. */
export async function runAgent({ version, stateDir, runDir, log, signal }: AgentOptions): Promise<void> {
  const journalDir = join(stateDir, 'journal');
  for (const dir of [stateDir, journalDir, runDir, join(runDir, 'stage'), join(runDir, 'restore')]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  }
  const docker = new Docker({});
  const run = runner();
  const machine = await machineId(stateDir);
  const hostFacts = async (asked: AbortSignal): Promise<HostFacts> => {
    const engine = await dockerHostFacts(docker, { signal: asked });
    const dataRoot = engine?.dataRoot ?? '/var/lib/docker';
    const [host, traffic] = await Promise.all([
      surveyHost({ run, signal: asked, docker: engine, dataRoot, drayage: version }),
      trafficFacts(),
    ]);
    return { ...host, traffic };
  };
  const store = new ForwardStore(join(stateDir, 'forwards'));
  // What kernel and programs can do is not tried again once it is all there is.
  let probed: Capabilities | undefined;
  const probing = new Turns();
  const capabilities = (): Promise<Capabilities> =>
    probing.take(async () => {
      if (probed === undefined || !isAble(probed)) probed = await probeTraffic(run);
      return probed;
    });
  const trafficFacts = async (): Promise<TrafficFacts> => {
    const [able, network, kept] = await Promise.all([capabilities(), readNetwork(run), store.list()]);
    return { ...able, network, forwards: kept.flatMap(forwardedHere) };
  };
  // A source that waits for its target's turn keeps no other source waiting for its own.
  const [trying, answering] = [new Turns(), new Turns()];
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => trying.take(work);
  const dialHost = async (to: string): Promise<Target> => {
    const connection = await connectSsh(to, {
      protocol: agentProtocol,
      version,
      from: 'agent',
      controlDir: join(runDir, 'ssh'),
      heartbeat: true,
      log,
    });
    const hello = await connection.call('hello', {});
    if (hello.machine === machine) {
      await connection.close();
      throw new DrayageError('SAME_HOST', `${to} is this host itself.`);
    }
    return remoteTarget(connection);
  };
  const dialTarget = async (to: string): Promise<TargetPort> =>
    to.startsWith(ARCHIVE) ? archiveOutcome(to.slice(ARCHIVE.length)) : dialHost(to);

  const terminals = new Terminals(run);
  const relays = new Relays(join(stateDir, 'relays'));
  const common = { journalDir, hostFacts, exclusively, log, stopping: signal, forwards: store, relays };
  const surveyTree = async (question: TreeQuestion, asked: AbortSignal): Promise<TreeSurroundings> => {
    const relayed = relays.endpointsOf(question);
    return { ...(await surveySurroundings(question, asked)), relayed };
  };
  const targets = new Targets(common);
  const replays = new Replays(common);
  const migrations = new Migrations({
    ...{ ...common, hostname: hostname(), machine, dialTarget, dialHost },
    resolveHere: (id, keep) => targets.resolve(id, keep),
  });

  const forwards = new Forwards({ store, relays, run, docker, journalOf: (id) => migrations.recordsOf(id) });

  const streams = new ArchiveStreams(join(stateDir, 'spool'));
  await streams.clear();
  const archives = new Archives({
    ...{ migrations, streams, hostFacts, version, journalDir },
    localTarget: () => localTarget(targets, { hostFacts, surveyTree }),
    self: { name: hostname(), machine },
  });

  // Requests that go by the journals wait until every migration of the past is known to be under way again.
  const { promise: recovering, resolve: allKnown } = Promise.withResolvers<void>();
  const recover = async (): Promise<void> => {
    for (const entry of await Journal.list(journalDir)) {
      if ('error' in entry) log(entry.error.message);
      else if (!isEnded(entry)) await resume(entry).catch((error: unknown) => log(DrayageError.from(error).message));
    }
    allKnown();
  };
  const resume = async ({ id, side, path }: JournalFile): Promise<void> => {
    const journal = await Journal.reopen(path);
    const recovery = { id, journal, docker, run, signal, forwards: store, relays };
    const onRetry = (error: unknown) => log(`migration ${id}: ${DrayageError.from(error).message}`);
    if (side === 'target') {
      targets.recovering(
        id,
        untilDone(signal, () => recoverTarget(recovery), onRetry).finally(() => journal.close()),
      );
      return;
    }
    const { promise: decided, resolve: decideNow } = Promise.withResolvers<'source' | 'target'>();
    const isImport = archiveOf(journal.records) !== undefined;
    const work = isImport
      ? () => recoverImport(recovery, () => targets.outcome(id))
      : () => recoverSource({ ...recovery, redial: dialTarget, decided });
    const { started, details } = startedOf(journal);
    const done = untilDone(signal, work, onRetry)
      .then(() => removeLeftPartial(started?.target ?? ''))
      .catch(onRetry)
      .finally(() => journal.close());
    migrations.resume(id, { containerId: details?.containerId, journal, done, decide: decideNow });
  };

  const handlers: Handlers<AgentProtocol, Connection<AgentProtocol>> = {
    hello: () => ({
      drayage: version,
      hostname: hostname(),
      machine,
      busy: migrations.busy || targets.busy || replays.busy,
      rssBytes: process.memoryUsage.rss(),
    }),
    'workloads.list': async ({ processes = false }, { signal: asked }) => {
      const lists = [
        listContainers(docker, hostFacts, asked),
        processes ? listProcessTrees(hostFacts, asked) : Promise.resolve([]),
      ];
      return { workloads: (await Promise.all(lists)).flat() };
    },
    'workloads.check': async ({ workload, to, options }, context) => {
      const target = await dialTarget(to);
      const gathering = { docker, run, hostFacts, exclusively, workload, options, target, signal: context.signal };
      return decide(await gather(gathering).finally(() => target.close()), options);
    },
    'migrations.start': async (request) => {
      await recovering;
      return { id: await migrations.start(request) };
    },
    'replays.draft': (request, context) => draftReplay(docker, dialHost, request, context.signal),
    'replays.start': async (request) => {
      await recovering;
      return { id: await migrations.replay(request) };
    },
    'migrations.watch': async ({ id, from }, { connection, signal: asked }) => {
      const result = await migrations.watch(
        id,
        from,
        (event) => void connection.notify('event', event).catch(() => {}),
        asked,
      );
      if (result === null) throw new DrayageError('MIGRATION_UNKNOWN', `Migration ${id} ended without a result.`);
      return result;
    },
    'migrations.undo': ({ id }) => migrations.undo(id),
    'migrations.list': async () => ({ migrations: await migrations.list() }),
    'migrations.show': async ({ id }) => ({ events: (await migrations.show(id)).events }),

    'migrations.resolve': ({ id, keep }) => migrations.resolve(id, keep),

    'archives.checkExport': (request, context) => archives.checkExport(request, context.signal),
    'archives.export': async (request) => {
      await recovering;
      return { id: await archives.export(request) };
    },
    'archives.checkImport': (file, context) => archives.checkImport(fileOf(file), file.chosen ?? {}, context.signal),
    'archives.import': async (file) => {
      await recovering;
      return archives.import(fileOf(file), file.chosen ?? {});
    },
    'archives.undo': async (file) => ({ id: await archives.undo(fileOf(file)) }),

    'forwards.list': async () => ({ forwards: await forwards.list() }),
    'forwards.remove': ({ id }) => forwards.remove(id),
    'forwards.repair': ({ id }) => forwards.repair(id),
    'forwards.repoint': ({ id, to }) => repoint(run, store, id, to),

    'terminals.find': async ({ name }) => ({ id: await terminals.find(name) }),
    'terminals.attach': ({ id, ...size }, { connection, signal: asked }) => {
      const view = (output: Buffer): Promise<void> =>
        connection.notify('terminal', { id, output: output.toString('base64') });
      return terminals.attach(id, size, view, AbortSignal.any([asked, signal]));
    },
    'terminals.type': ({ id, keys }) => terminals.type(id, Buffer.from(keys, 'base64')),
    'terminals.resize': ({ id, ...size }) => terminals.resize(id, size),

    'target.survey': (_, context) => hostFacts(context.signal),
    'target.surveyTree': (question, context) => surveyTree(question, context.signal),
    'target.path': ({ end }, { signal: asked }) => answering.take(() => answerPath({ run, signal: asked }, end)),
    'target.inUse': async ({ questions }) => ({ addresses: await answered(run, questions) }),
    'target.open': async (request, { connection }) => {
      await recovering;
      await targets.open(request, connection.closed);
    },
    'target.settle': ({ id }) => targets.get(id).settle(),
    'target.create': ({ id }) => targets.get(id).create(),
    'target.begin': ({ id, ...start }) => targets.get(id).begin(start),
    'target.rewrite': async ({ id, key, files }) => ({ done: await targets.get(id).rewrite(key, files) }),
    'target.prune': ({ id, key, listings }) => targets.get(id).prune(key, listings),
    'target.network': () => hostNetwork(run, machine),
    'target.restore': ({ id, traffic }) => targets.get(id).restore(traffic),
    'target.start': ({ id, traffic }) => targets.get(id).start(traffic),
    'target.commit': ({ id }) => targets.get(id).commit(),
    'target.release': async ({ id }) => {
      const released = await targets.get(id).release();
      await targets.end(id);
      return released;
    },
    'target.abort': async ({ id, reason }) => {
      const aborted = await targets.get(id).abort(reason);
      void targets.end(id);
      return aborted;
    },
    'target.resolve': ({ id, keep }) => targets.resolve(id, keep),
    'target.outcome': async ({ id }) => {
      await recovering;
      return { outcome: await targets.outcome(id) };
    },
    'replay.open': (request, { connection }) => replays.open(request, connection.closed),
    'replay.finish': ({ id, start }) => replays.finish(id, start),
    'replay.abort': ({ id, reason }) => replays.abort(id, reason),
  };
  const fileOf = ({ path, token = '', key }: { path: string; token?: string; key?: Key }): ArchiveFile => ({
    ...(path === '-' ? { path: streams.spooled(token), spooled: true } : { path }),
    key,
  });
  const replayMeta = z.object({ id: migrationIdSchema, meta: z.enum(['image', 'build', 'manifest']) });
  const channelMeta = z.object({ id: migrationIdSchema, meta: z.unknown() });
  const channel = (purpose: 'image' | 'files' | 'logs' | 'memory') => (stream: Duplex, raw: unknown) => {
    const { id, meta } = channelMeta.parse(raw);
    return targets.channel(stream, purpose, id, meta);
  };
  const channels = {
    image: channel('image'),
    files: channel('files'),
    logs: channel('logs'),
    memory: channel('memory'),
    ...streams.handlers,
    replay: (stream: Duplex, raw: unknown) => {
      const { id, meta } = replayMeta.parse(raw);
      return replays.channel(stream, meta, id);
    },
  };

  // What an agent that was killed has left. Without nft there is nothing.
  await removePaths(run).catch(() => {});
  await serve({
    socketPath: join(runDir, 'agent.sock'),
    version,
    protocol: agentProtocol,
    handlers,
    channels,
    log,
    signal,
    onListening: () => {
      void recover().then(() => forwards.keep(signal, log));
      void terminals.keep(signal);
      void relays.keep(signal);
    },
  });
  await Promise.all([migrations.stop(), targets.stop(), replays.stop()]);
  await docker[Symbol.asyncDispose]();
}

/**
 * Whether recovery has nothing to do: an end on record, and nothing that a crash in the middle of the tidying up has
 * left. An outcome that is unknown is a human's to decide.
 */
function isEnded({ side, records }: JournalFile & { records: JournalRecord[] }): boolean {
  const state = lastState(records);
  if (records.length === 0 || state === 'unknown') return true;
  if (side === 'source') return eventsOf(records).some((event) => event.type === 'result');
  return (state === 'released' || state === 'aborted') && openResources(records).length === 0;
}
