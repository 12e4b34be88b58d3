/** Everything that an agent answers, with what goes in and what comes out; both are validated at the border. */
import { z } from 'zod';
import type { HostFacts, TreeQuestion, TreeSurroundings, WorkloadSummary } from '../engines/facts.ts';
import { MOST_BYTES, MOST_FILES } from '../files/short-files.ts';
import type { Manifest } from '../migration/archive/manifest.ts';
import { HANDOVERS, type MigrationResult, STRATEGIES } from '../migration/events.ts';
import type { Finding } from '../migration/finding.ts';
import { eventSchema, migrationIdSchema } from '../migration/journal-records.ts';
import type { Repointed } from '../migration/older-forwards.ts';
import type { Plan } from '../migration/plan.ts';
import type { Decision } from '../migration/strategy.ts';
import type { ArrivingTraffic, HostNetwork, OpenTarget } from '../migration/target-port.ts';
import type { Fate } from '../replay/dockerfile/steps.ts';
import type { OpenReplay } from '../replay/move/target-port.ts';
import type { PathEnd } from '../traffic/path-rules.ts';
import type { ForwardSummary } from './forwards.ts';
import { defineProtocol } from './protocol.ts';

const id = migrationIdSchema;
const text = z.string().max(4096);
const options = z.object({
  strategy: z.enum(STRATEGIES),
  allowRestart: z.boolean(),
  healthyUrl: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .exactOptional(),
  remove: z.boolean(),
  carryBinds: z.boolean(),
  dropConnections: z.boolean(),
  handover: z.enum(HANDOVERS),
  replaceFiles: z.boolean(),
  dryRun: z.boolean(),
  pidNamespace: z.boolean().exactOptional(),
  privateRoot: z.boolean().exactOptional(),
  leaveRunning: z.boolean().exactOptional(),
});
const request = z.object({ workload: text, to: text, options });
const tree = z.looseObject({
  key: text,
  kind: z.enum(['upper', 'volume', 'bind']),
  path: z.string().startsWith('/').max(4096),
});
const usedFiles = z
  .array(
    z.looseObject({
      path: z.string().startsWith('/').max(4096),
      kind: z.enum(['file', 'directory', 'fifo']),
      ...{ bytes: z.number(), mode: z.number(), isWritten: z.boolean() },
      sha256: z.string().regex(/^([0-9a-f]{64})?$/),
    }),
  )
  .max(100_000);
const shortFile = z.object({
  path: z.string().max(4096),
  ...{ mode: z.number().int(), uid: z.number().int(), gid: z.number().int(), mtimeMs: z.number() },
  content: z.base64().max(Math.ceil((MOST_BYTES * 4) / 3) + 4),
});
const address = z.union([z.ipv4(), z.ipv6()]);
const device = z.string().regex(/^[A-Za-z0-9_.@-]{1,15}$/);
/** Is also part of a kernel parameter's name. */
const innerDevice = z.string().regex(/^[A-Za-z0-9_-]{1,15}$/);
const fullMac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
/** What the target uses of the facts is checked; the engine's own descriptions are the engine's to check. */
const container = z.looseObject({
  ref: z.object({ engine: z.literal('docker'), name: text }),
  id: z.string().regex(/^[0-9a-f]{64}$/),
  networks: z.record(z.string(), z.unknown()),
  volumes: z.record(z.string(), z.unknown()),
  image: z.looseObject({ id: text, reference: text, tags: z.array(text).max(1000), layers: z.array(text).max(1000) }),
  files: z.array(tree).max(10_000),
  memoryBytes: z.number().nonnegative(),
  traffic: z
    .looseObject({
      own: z
        .array(
          z.object({
            ...{ network: text, device: innerDevice, mac: fullMac, parent: device },
            addresses: z.array(address).max(100),
          }),
        )
        .max(100),
    })
    .exactOptional(),
});
/** The terminal's id becomes a word of CRIU's command line. */
const processTree = z.looseObject({
  ref: z.object({ engine: z.literal('process'), name: z.string().regex(/^\d{1,10}$/) }),
  pid: z.number().int().positive(),
  files: usedFiles,
  terminals: z
    .array(z.looseObject({ id: z.string().regex(/^tty\[[0-9a-f]+:[0-9a-f]+\]$/), isLed: z.boolean() }))
    .max(1),
  memoryBytes: z.number().nonnegative(),
  limits: z.object({
    memoryBytes: z.number().positive().exactOptional(),
    cpus: z.number().positive().exactOptional(),
    tasks: z.number().positive().exactOptional(),
  }),
});
export const openTarget = z.object({
  id,
  workload: z.union([container, processTree]),
  options,
  parents: z.record(text, device),
});
/** Of this host; `-` is whoever comes with the token. */
const archivePath = z.union([z.literal('-'), z.string().startsWith('/').max(4096)]);
const token = z.string().regex(/^[0-9a-f]{32}$/);
const passphrase = z.object({ passphrase: z.string().min(1).max(1024) });
/** What an import may choose of a tree of processes. */
const chosen = z.object({
  replaceFiles: z.boolean().exactOptional(),
  pidNamespace: z.boolean().exactOptional(),
  privateRoot: z.boolean().exactOptional(),
});
const archiveFile = z.object({
  path: archivePath,
  token: token.exactOptional(),
  key: z.union([passphrase, z.object({ identities: z.array(text).min(1).max(100) })]).exactOptional(),
});
const exported = z.object({ workload: text, image: z.boolean(), options });
const openReplay = openTarget.pick({ id: true, workload: true });
const replayOptions = z.object({
  prompt: text.exactOptional(),
  columns: z.number().int().min(2).max(10_000).exactOptional(),
  keepFailed: z.boolean(),
});
const contextFile = z.object({
  name: text,
  /** In base64. */
  content: z.string(),
  mode: z.number().int(),
  uid: z.number().int(),
  gid: z.number().int(),
});
const listing = z.object({ path: z.string(), names: z.array(z.string()) });
const span = z.object({
  name: z.string(),
  side: z.enum(['source', 'target']),
  kind: z.enum(['phase', 'step', 'program']),
  startMs: z.number(),
  ms: z.number(),
});
const summary = z.object({
  id: z.string(),
  workload: z.string(),
  source: z.string(),
  target: z.string(),
  startedAt: z.number(),
  outcome: z.enum(['committed', 'undone', 'unknown']).exactOptional(),
  outageMs: z.number().nullable().exactOptional(),
  totalMs: z.number().exactOptional(),
  bytes: z.number().exactOptional(),
});
const port = z.number().int().min(0).max(65535);
const mac = z.string().regex(/^([0-9a-f]{2}(:[0-9a-f]{2}){5})?$/);
const via = z.object({ 4: address.exactOptional(), 6: address.exactOptional() });
/** All of it becomes words of nft's and ip's: nothing but addresses, numbers and names of devices gets through. */
const addresses = z
  .array(
    z.object({
      address,
      network: text.exactOptional(),
      subnet: z.union([z.cidrv4(), z.cidrv6()]),
      mac,
      bridge: device,
      port: device.exactOptional(),
      peers: z.array(address).max(10_000),
    }),
  )
  .max(100);
const flows = z
  .array(
    z.object({
      protocol: z.enum(['tcp', 'udp']),
      address,
      port,
      peer: address,
      peerPort: port,
      known: z.object({ address, port }).exactOptional(),
      by: z.enum(['peer', 'workload']),
    }),
  )
  .max(100_000);
const hop = z.object({ device, via, mac: mac.exactOptional(), mss: z.number().int().exactOptional() });
const tunnel = z.object({
  ...{ device, here: address, there: address },
  ...{ network: z.number().int().min(0), mac, theirMac: mac },
});
const peer = z.object({ name: text, machine: text });
const arrivingTraffic = z.object({
  ...{ addresses, flows, hop, from: peer },
  only: z.enum(['all', 'open', 'none']),
  tunnel: tunnel.exactOptional(),
  older: z
    .array(
      z.object({
        ...{ id, workload: text, peer, addresses, flows, home: z.boolean() },
        rank: z.number().int().min(0).max(9),
        hop: hop.exactOptional(),
        tunnel: tunnel.exactOptional(),
      }),
    )
    .max(10),
});
const repointed = z.object({ ...{ hop, flows, peer }, tunnel: tunnel.exactOptional() });
const side = z.number().int().min(0).max(10_000);
const terminalSize = { columns: side, rows: side };
const nothing = z.object({});
const withId = z.object({ id });
const done = z.void();

export const agentProtocol = defineProtocol({
  methods: {
    hello: {
      params: nothing,
      result: z.object({
        drayage: z.string(),
        hostname: z.string(),
        machine: z.string(),
        busy: z.boolean(),
        rssBytes: z.number(),
      }),
    },

    // For the command line.
    'workloads.list': {
      params: z.object({ processes: z.boolean().exactOptional() }),
      result: z.object({ workloads: z.array(z.custom<WorkloadSummary>()) }),
    },
    'workloads.check': {
      params: request,
      result: z.custom<Decision>(),
    },
    'migrations.start': { params: request, result: withId },
    'migrations.watch': {
      params: z.object({ id, from: z.number().int().min(0) }),
      result: z.custom<MigrationResult>(),
    },
    'migrations.undo': { params: withId, result: done },
    'migrations.list': { params: nothing, result: z.object({ migrations: z.array(summary) }) },
    'migrations.show': { params: withId, result: z.object({ events: z.array(eventSchema) }) },
    'migrations.resolve': {
      params: z.object({ id, keep: z.enum(['source', 'target']) }),
      result: z.custom<MigrationResult>(),
    },

    'archives.checkExport': {
      params: exported.extend({ toStream: z.boolean() }),
      result: z.object({ findings: z.array(z.custom<Finding>()), plan: z.custom<Plan>() }),
    },
    'archives.export': {
      params: exported.extend({
        path: archivePath,
        token: token.exactOptional(),
        lock: z.union([passphrase, z.object({ recipients: z.array(text).min(1).max(100) })]).exactOptional(),
      }),
      result: withId,
    },
    'archives.checkImport': {
      params: archiveFile.extend({ chosen: chosen.exactOptional() }),
      result: z.object({ manifest: z.custom<Manifest>(), findings: z.array(z.custom<Finding>()) }),
    },
    'archives.import': {
      params: archiveFile.extend({ chosen: chosen.exactOptional() }),
      result: z.object({ id, from: z.number().int().min(0) }),
    },
    'archives.undo': { params: archiveFile, result: withId },

    'replays.draft': {
      params: z.object({ workload: text, to: text.exactOptional(), start: z.boolean(), options: replayOptions }),
      result: z.object({
        dockerfile: z.string(),
        files: z.array(contextFile),
        findings: z.array(z.custom<Finding>()),
        commands: z.array(z.object({ text: z.string(), fate: z.custom<Fate>() })),
      }),
    },
    /** Goes on under `migrations.watch`, `undo`, `list` and `show`. */
    'replays.start': {
      params: z.object({
        workload: text,
        to: text,
        options: replayOptions.extend({
          start: z.boolean(),
          captureRest: z.boolean(),
          require: z.number().min(0).max(100),
          agreed: text.exactOptional(),
        }),
      }),
      result: withId,
    },

    'forwards.list': { params: nothing, result: z.object({ forwards: z.array(z.custom<ForwardSummary>()) }) },
    'forwards.remove': { params: withId, result: done },
    'forwards.repair': { params: withId, result: done },
    /** From the agent of the host that the workload leaves now. */
    'forwards.repoint': {
      params: z.object({ id, to: repointed as unknown as z.ZodType<Repointed, Repointed> }),
      result: done,
    },

    /** By the id of the migration that brought it, or by the workload. */
    'terminals.find': { params: z.object({ name: text }), result: z.object({ id: text }) },
    /** Resolves when the terminal has ended; what is written to it comes as notifications meanwhile. */
    'terminals.attach': { params: z.object({ id: text, ...terminalSize }), result: z.enum(['ended', 'left']) },
    'terminals.type': { params: z.object({ id: text, keys: z.base64().max(1 << 20) }), result: done },
    'terminals.resize': { params: z.object({ id: text, ...terminalSize }), result: done },

    // For the agent that is the source of a migration; see migration/target-port.ts.
    'target.survey': { params: nothing, result: z.custom<HostFacts>() },
    'target.surveyTree': {
      params: z.object({
        workload: text,
        files: usedFiles as unknown as z.ZodType<TreeQuestion['files'], TreeQuestion['files']>,
        taskIds: z.array(z.number().int().positive()).max(100_000),
        terminal: z.boolean(),
        listening: z.array(text).max(100_000),
      }),
      result: z.custom<TreeSurroundings>(),
    },
    'target.path': {
      params: z.object({
        end: z.object({
          ...{ role: z.literal('target'), hop, workload: z.ipv4(), client: z.ipv4() },
          tunnel: tunnel.exactOptional(),
        }) as unknown as z.ZodType<PathEnd, PathEnd>,
      }),
      result: z.object({ sent: z.boolean(), heard: z.object({ small: z.boolean(), large: z.boolean() }) }),
    },
    'target.inUse': {
      params: z.object({ questions: z.array(z.object({ device, address, mac })).max(100) }),
      result: z.object({ addresses: z.array(address) }),
    },
    'target.open': { params: openTarget as unknown as z.ZodType<OpenTarget, OpenTarget>, result: done },
    'target.settle': { params: withId, result: done },
    'target.create': {
      params: withId,
      result: z.object({
        containerId: z.string().regex(/^([0-9a-f]{64}|process:\d{1,10})$/),
        notes: z.array(z.string()),
      }),
    },
    'target.begin': {
      params: z.object({ id, descriptors: z.array(text).max(1024) }),
      result: done,
    },
    'target.prune': {
      params: z.object({ id, key: text, listings: z.array(listing).max(100_000) }),
      result: z.object({ deleted: z.number(), missing: z.array(z.string()) }),
    },
    'target.rewrite': {
      params: z.object({ id, key: text, files: z.array(shortFile).max(MOST_FILES) }),
      result: z.object({ done: z.boolean() }),
    },
    'target.network': { params: nothing, result: z.custom<HostNetwork>() },
    'target.restore': {
      params: z.object({
        id,
        traffic: (arrivingTraffic as unknown as z.ZodType<ArrivingTraffic, ArrivingTraffic>).exactOptional(),
      }),
      result: done,
    },
    'target.start': {
      params: z.object({
        id,
        traffic: (arrivingTraffic as unknown as z.ZodType<ArrivingTraffic, ArrivingTraffic>).exactOptional(),
      }),
      result: done,
    },
    'target.commit': {
      params: withId,
      result: z.discriminatedUnion('outcome', [
        z.object({ outcome: z.literal('running'), sinceMs: z.number().nonnegative() }),
        z.object({ outcome: z.literal('aborted'), reason: z.string() }),
      ]),
    },
    'target.release': { params: withId, result: z.object({ spans: z.array(span), notes: z.array(z.string()) }) },
    'target.abort': { params: z.object({ id, reason: text }), result: z.object({ spans: z.array(span) }) },
    'target.resolve': { params: z.object({ id, keep: z.enum(['source', 'target']) }), result: done },
    'replay.open': { params: openReplay as unknown as z.ZodType<OpenReplay, OpenReplay>, result: done },
    'replay.finish': {
      params: z.object({ id, start: z.boolean() }),
      result: z.object({ image: z.string(), containerId: z.string().exactOptional(), notes: z.array(z.string()) }),
    },
    'replay.abort': { params: z.object({ id, reason: text }), result: done },
    'target.outcome': { params: withId, result: z.object({ outcome: z.enum(['committed', 'aborted', 'unknown']) }) },
  },
  notifications: { event: eventSchema, terminal: z.object({ id: text, output: z.base64() }) },
});
export type AgentProtocol = typeof agentProtocol;
