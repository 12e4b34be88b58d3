/** What a recording means: pure, from samples and moves to the figures that tables, JSON and the report show. */
import { BUCKET_MS, type ConnectionLog, type IncidentKind, noIncidents } from './connection-log.ts';
import type { Failure } from './failure.ts';
import type { Recording } from './measure.ts';
import type { Move, Stretch } from './move.ts';
import { type Percentiles, percentiles, type Spread, spread } from './percentiles.ts';
import type { RequestOutcome, RequestSample } from './samples.ts';

interface RequestFigures {
  sent: number;
  failed: number;
  failures: Partial<Record<Failure, number>>;
}

interface ConnectionFigures {
  speak: 'tcp' | 'http';
  count: number;
  /** Answers that came. */
  answered: number;
  /** Connections that broke: reset, closed by the server or silent beyond the deadline. */
  broken: number;
  incidents: Record<IncidentKind, number>;
}

interface LongestGap extends Stretch {
  ms: number;
  /** Who saw it: all new requests together, one request that waited, or one long-lived connection. */
  seenBy: 'requests' | 'request' | 'connection';
}

/** Answers in each 100 ms from `fromMs` on. */
export interface Throughput {
  bucketMs: number;
  fromMs: number;
  answered: number[];
  failed: number[];
  messages: number[];
}

/** Of any stretch of time. A request belongs to the stretch in which it was to be sent. */
export interface Figures {
  requests: RequestFigures;
  connections: ConnectionFigures | null;
  latency: Percentiles;
  longestGap: LongestGap | null;
  throughput: Throughput;
}

export interface Round extends Figures {
  round: number;
  /** The move, and before and after it as much as belongs to no other one. */
  window: Stretch;
  move: Move;
  /** Latency of requests by when they were to be sent: before, during and after the move; `frozen` is within during. */
  latencyBy: { before: Percentiles; during: Percentiles; frozen: Percentiles; after: Percentiles };
}

export interface Summary extends Figures {
  startedAt: number;
  durationMs: number;
  /** How late the load itself was to send: what a gap or latency may owe to the measuring side. */
  lag: Percentiles;
  rounds: Round[];
  /** Over the rounds. */
  outageMs: Spread | null;
  longestGapMs: Spread | null;
}

export function summarise(recording: Recording, moves: readonly Move[] = []): Summary {
  const samples = [...recording.samples];
  const whole = { fromMs: 0, toMs: recording.endMs };
  const rounds = moves.map((move, i): Round => {
    const window = { fromMs: between(moves[i - 1], move) ?? 0, toMs: between(move, moves[i + 1]) ?? recording.endMs };
    const latency = (stretch: Stretch | null) => latencyOf(within(samples, stretch));
    return {
      round: i + 1,
      window,
      move,
      ...figuresOf(recording, within(samples, window), window),
      latencyBy: {
        before: latency({ fromMs: window.fromMs, toMs: move.fromMs }),
        during: latency(move),
        frozen: latency(move.frozen),
        after: latency({ fromMs: move.toMs, toMs: window.toMs }),
      },
    };
  });
  return {
    startedAt: recording.startedAt,
    durationMs: recording.endMs,
    ...figuresOf(recording, samples, whole),
    // However much was forgotten on the way.
    requests: requestFigures(recording.samples.counts),
    connections: recording.connections && {
      speak: recording.connections.speak,
      count: recording.connections.count,
      ...connectionFigures(recording.connections.log.answered, recording.connections.log.counts),
    },
    lag: percentiles(samples.map(({ lagMs }) => lagMs)),
    rounds,
    outageMs: spread(rounds.map(({ move }) => move.outageMs)),
    longestGapMs: spread(rounds.map(({ longestGap }) => longestGap?.ms ?? null)),
  };
}

/** The middle between two moves. */
function between(a: Move | undefined, b: Move | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : (a.toMs + b.fromMs) / 2;
}

function within(samples: readonly RequestSample[], stretch: Stretch | null): RequestSample[] {
  if (stretch === null) return [];
  return samples.filter(({ atMs }) => atMs >= stretch.fromMs && atMs < stretch.toMs);
}

function figuresOf({ connections, endMs }: Recording, samples: readonly RequestSample[], stretch: Stretch): Figures {
  // What was still awaited when the sending ended belongs to the last stretch.
  const open = stretch.toMs >= endMs ? { ...stretch, toMs: Number.POSITIVE_INFINITY } : stretch;
  return {
    requests: requestsOf(samples),
    connections: connections && connectionsOf(connections, open),
    latency: latencyOf(samples),
    longestGap: longestGapOf(samples, connections?.log ?? null, stretch),
    throughput: throughputOf(samples, connections?.log ?? null, stretch),
  };
}

function requestsOf(samples: readonly RequestSample[]): RequestFigures {
  const counts: Partial<Record<RequestOutcome, number>> = {};
  for (const { outcome } of samples) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return requestFigures(counts);
}

function requestFigures({ ok = 0, ...rest }: Partial<Record<RequestOutcome, number>>): RequestFigures {
  const failures = Object.fromEntries(Object.entries(rest).filter(([, count]) => count > 0));
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  return { sent: ok + failed, failed, failures };
}

/** Only of requests that succeeded: what fails fast must not look fast. */
function latencyOf(samples: readonly RequestSample[]): Percentiles {
  return percentiles(samples.filter(({ outcome }) => outcome === 'ok').map(({ latencyMs }) => latencyMs));
}

function connectionsOf(
  { speak, count, log }: NonNullable<Recording['connections']>,
  stretch: Stretch,
): ConnectionFigures {
  const isIn = (atMs: number) => atMs >= stretch.fromMs && atMs < stretch.toMs;
  const incidents = noIncidents();
  for (const { kind, atMs } of log.incidents) if (isIn(atMs)) incidents[kind]++;
  let answered = 0;
  for (const bucket of log.buckets()) if (isIn(bucket.fromMs)) answered += bucket.answered;
  return { speak, count, ...connectionFigures(answered, incidents) };
}

function connectionFigures(answered: number, counts: Readonly<Record<IncidentKind, number>>) {
  const { reset, closed, timeout } = counts;
  return { answered, broken: reset + closed + timeout, incidents: { ...counts } };
}

function longestGapOf(samples: readonly RequestSample[], log: ConnectionLog | null, stretch: Stretch) {
  let longest: LongestGap | null = null;
  const consider = (seenBy: LongestGap['seenBy'], fromMs: number, toMs: number) => {
    if (longest === null || toMs - fromMs > longest.ms) longest = { ms: round(toMs - fromMs), fromMs, toMs, seenBy };
  };
  const answers = samples.filter(({ outcome }) => outcome === 'ok');
  for (const { atMs, latencyMs } of answers) consider('request', atMs, atMs + latencyMs);
  const ends = answers.map(({ atMs, latencyMs }) => atMs + latencyMs).sort((a, b) => a - b);
  for (const [i, end] of ends.entries()) consider('requests', ends[i - 1] ?? end, end);
  // Requests that failed to the very end: nobody was answered any more.
  const [lastEnd, lastSent] = [ends.at(-1) ?? stretch.fromMs, samples.at(-1)];
  if (lastSent !== undefined && lastSent.outcome !== 'ok')
    consider('requests', lastEnd, lastSent.atMs + lastSent.latencyMs);
  for (const { longest: gap } of log?.buckets() ?? []) {
    if (gap.toMs > stretch.fromMs && gap.fromMs < stretch.toMs) consider('connection', gap.fromMs, gap.toMs);
  }
  return longest;
}

function throughputOf(samples: readonly RequestSample[], log: ConnectionLog | null, { fromMs, toMs }: Stretch) {
  const first = Math.floor(fromMs / BUCKET_MS);
  const zeros = () => new Array<number>(Math.max(1, Math.ceil(toMs / BUCKET_MS) - first)).fill(0);
  const result = {
    bucketMs: BUCKET_MS,
    fromMs: first * BUCKET_MS,
    answered: zeros(),
    failed: zeros(),
    messages: zeros(),
  };
  const count = (series: number[], atMs: number, by = 1) => {
    const index = Math.floor(atMs / BUCKET_MS) - first;
    if (index >= 0 && index < series.length) series[index] = (series[index] ?? 0) + by;
  };
  for (const { atMs, latencyMs, outcome } of samples) {
    count(outcome === 'ok' ? result.answered : result.failed, atMs + latencyMs);
  }
  for (const bucket of log?.buckets() ?? []) count(result.messages, bucket.fromMs, bucket.answered);
  return result;
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
