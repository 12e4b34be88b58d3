/** What a journal's lines hold, and what follows from them; pure. */
import { z } from 'zod';
import { HANDOVERS, type MigrationEvent, PHASES, STRATEGIES } from './events.ts';
import type { Finding } from './finding.ts';

export const SIDES = ['source', 'target'] as const;
export type Side = (typeof SIDES)[number];

/**
 * How far a migration came, as one side knows it.
 *
 *     source: started → frozen → intent → committed → retired          target: opened → restoring → ready → committed → running → released
 *                   ↘ undone ↙        ↘ unknown (in doubt)                              ↘ aborted ↙
 *
 * By restart there is `stopped` in the place of `frozen`, and `trying` in that of `restoring`: the copy may run from
 * there on, before anything is committed, and so the source's intent comes before it.
 */
export const STATES = [
  // source
  ...(['started', 'frozen', 'stopped', 'intent', 'committed', 'retired', 'undone', 'unknown'] as const),
  // target; `committed` is the word of both
  ...(['opened', 'restoring', 'trying', 'ready', 'running', 'released', 'aborted'] as const),
] as const;
export type State = (typeof STATES)[number];

/** Something made that undo must remove: written down before it is made. `key` is unique within a journal. */
export interface Resource {
  kind: string;
  key: string;
  [detail: string]: unknown;
}

/** One line of a journal; `time` is Unix time in milliseconds. */
export type JournalRecord = { time: number } & (
  | { type: 'header'; format: 1; id: string; side: Side; data?: unknown }
  | { type: 'event'; event: MigrationEvent }
  | { type: 'state'; state: State; data?: unknown }
  | { type: 'acquired'; resource: Resource }
  | { type: 'released'; key: string }
);

/** A record as it is handed to the journal, which stamps the time. */
export type NewRecord = JournalRecord extends infer R ? (R extends unknown ? Omit<R, 'time'> : never) : never;

/** Whatever names a migration also names its files: no separators, no leading dot or dash. */
export const migrationIdSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'not a migration id');

/** What undo has to remove, newest first: acquired, and not released since. */
export function openResources(records: readonly JournalRecord[]): Resource[] {
  const open = new Map<string, Resource>();
  for (const record of records) {
    if (record.type === 'released') open.delete(record.key);
    if (record.type !== 'acquired') continue;
    const { key } = record.resource;
    open.delete(key); // A Map keeps the place of the first insertion; the newest acquisition counts.
    open.set(key, record.resource);
  }
  return [...open.values()].reverse();
}

/** The last state written, or undefined where the side had not come to one. */
export function lastState(records: readonly JournalRecord[]): State | undefined {
  return records.findLast((record) => record.type === 'state')?.state;
}

/** The events, in order: what `drayage show` and `drayage history` read. */
export function eventsOf(records: readonly JournalRecord[]): MigrationEvent[] {
  return records.flatMap((record) => (record.type === 'event' ? [record.event] : []));
}

// A newer program reads what an older one wrote and the other way about: unknown fields are kept, never refused.
const serializedError = z.looseObject({
  code: z.string(),
  message: z.string(),
  meaning: z.string(),
  remedy: z.string(),
});
const finding = z.looseObject({
  code: z.string(),
  severity: z.enum(['blocks', 'costs', 'note']),
  message: z.string(),
  meaning: z.string(),
  remedy: z.string(),
}) satisfies z.ZodType<Finding>;
const phase = z.enum(PHASES);
const ms = z.number();
const common = { time: z.number(), id: z.string() };

/** A MigrationEvent as it comes out of a file or off a connection. */
export const eventSchema: z.ZodType<MigrationEvent> = z.discriminatedUnion('type', [
  z.looseObject({
    ...common,
    type: z.literal('started'),
    workload: z.string(),
    source: z.string(),
    target: z.string(),
    options: z.looseObject({
      // Journals of versions before had neither.
      strategy: z.enum(STRATEGIES).default('live'),
      allowRestart: z.boolean().default(false),
      healthyUrl: z.string().exactOptional(),
      remove: z.boolean(),
      carryBinds: z.boolean(),
      dropConnections: z.boolean(),
      // Journals of versions before had none.
      handover: z.enum(HANDOVERS).default('none'),
      replaceFiles: z.boolean().default(false),
      dryRun: z.boolean(),
      pidNamespace: z.boolean().exactOptional(),
      privateRoot: z.boolean().exactOptional(),
      leaveRunning: z.boolean().exactOptional(),
    }),
  }),
  z.looseObject({ ...common, type: z.literal('findings'), findings: z.array(finding) }),
  z.looseObject({ ...common, type: z.literal('phase'), phase }),
  z.looseObject({
    ...common,
    type: z.literal('progress'),
    phase,
    what: z.string(),
    bytes: z.number(),
    total: z.number().exactOptional(),
    rate: z.number().exactOptional(),
  }),
  z.looseObject({
    ...common,
    type: z.literal('span'),
    span: z.looseObject({
      name: z.string(),
      side: z.enum(SIDES),
      kind: z.enum(['phase', 'step', 'program']),
      startMs: ms,
      ms,
    }),
  }),
  z.looseObject({ ...common, type: z.literal('note'), message: z.string() }),
  z.looseObject({ ...common, type: z.literal('waiting'), error: serializedError }),
  z.looseObject({
    ...common,
    type: z.literal('proof'),
    score: z.number(),
    paths: z.number(),
    differing: z.number(),
    from: z.number().exactOptional(),
    differences: z.array(z.looseObject({ path: z.string(), what: z.string() })),
  }),
  z.looseObject({
    ...common,
    type: z.literal('result'),
    outcome: z.enum(['committed', 'undone', 'unknown']),
    outageMs: ms.nullable(),
    totalMs: ms,
    bytes: z.number(),
    phases: z.array(z.looseObject({ name: phase, ms })),
    targetId: z.string().exactOptional(),
    keptAs: z.string().exactOptional(),
    rebuilt: z.looseObject({ image: z.string(), score: z.number() }).exactOptional(),
    error: serializedError.exactOptional(),
  }),
]);

export const recordSchema: z.ZodType<JournalRecord> = z.discriminatedUnion('type', [
  z.looseObject({
    time: z.number(),
    type: z.literal('header'),
    format: z.literal(1),
    id: migrationIdSchema,
    side: z.enum(SIDES),
    data: z.unknown().exactOptional(),
  }),
  z.looseObject({ time: z.number(), type: z.literal('event'), event: eventSchema }),
  z.looseObject({
    time: z.number(),
    type: z.literal('state'),
    state: z.enum(STATES),
    data: z.unknown().exactOptional(),
  }),
  z.looseObject({
    time: z.number(),
    type: z.literal('acquired'),
    resource: z.looseObject({ kind: z.string(), key: z.string() }),
  }),
  z.looseObject({ time: z.number(), type: z.literal('released'), key: z.string() }),
]);
