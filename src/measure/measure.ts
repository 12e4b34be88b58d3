/** Watches a server as its clients see it: new requests at a fixed rate, and long-lived connections beside them. */
import { type Clock, startClock } from './clock.ts';
import { ConnectionLog } from './connection-log.ts';
import { HttpConnection } from './http-connection.ts';
import { type HttpLoad, startHttpLoad } from './http-load.ts';
import type { LongLived } from './long-lived.ts';
import { Samples } from './samples.ts';
import { schedule } from './schedule.ts';
import type { HttpTarget, TcpTarget } from './target.ts';
import { TcpConnection } from './tcp-connection.ts';

export interface MeasureOptions {
  /** New requests go there; absent for none. */
  http?: HttpTarget;
  /** Long-lived connections go there; without it, they are kept-alive ones to `http`, if it keeps any. */
  tcp?: TcpTarget;
  /** New requests a second. */
  rate: number;
  /** Long-lived connections. */
  connections: number;
  /** After which a request or message has failed. */
  deadlineMs: number;
}

/** All that was seen, as far as it is kept. */
export interface Recording {
  /** Unix time in milliseconds; all other times count from it. */
  startedAt: number;
  endMs: number;
  samples: Samples;
  /** null where there were no long-lived connections. */
  connections: { speak: 'tcp' | 'http'; count: number; log: ConnectionLog } | null;
}

export interface Measurement {
  readonly clock: Clock;
  /** As it is now, still growing. */
  readonly recording: Recording;
  /** Requests and messages that wait for an answer. */
  readonly open: number;
  /** Sends nothing more, and waits for what is under way, at the longest until the deadline; `abort` cuts that short. */
  finish(abort?: AbortSignal): Promise<Recording>;
}

/** All messages of all connections together come at most this often, evenly spread. */
const MESSAGE_MS = 2;
const SHORTEST_PAUSE_MS = 10;
const POLL_MS = 5;
/** The deadline of the last request ends at that time, too, and is to be told as such. */
const SLACK_MS = 200;

/** Begins at once. An aborted `signal` ends everything without waiting for anything. */
export function measure(options: MeasureOptions, signal: AbortSignal): Measurement {
  const { http, tcp, connections: count, deadlineMs, rate } = options;
  const clock = startClock();
  const samples = new Samples();
  const [stop, abort] = [new AbortController(), new AbortController()];
  const stopping = AbortSignal.any([stop.signal, abort.signal, signal]);
  const aborting = AbortSignal.any([abort.signal, signal]);
  const load: HttpLoad | undefined =
    http && rate > 0
      ? startHttpLoad({
          ...{ target: http, clock, rate, deadlineMs, stop: stopping, abort: aborting },
          onSample: (sample) => samples.add(sample),
        })
      : undefined;
  const log = new ConnectionLog();
  const lines = longLived(options, clock, log);
  if (lines.length > 0) {
    const intervalMs = Math.max(MESSAGE_MS, SHORTEST_PAUSE_MS / lines.length);
    const due = (index: number, atMs: number) => lines[index % lines.length]?.due(atMs);
    schedule({ clock, intervalMs, signal: stopping, due });
  }
  aborting.addEventListener('abort', () => lines.forEach((line) => void line.end(false)), { once: true });
  const open = () => (load?.open ?? 0) + lines.reduce((sum, line) => sum + line.open, 0);
  const recording = (): Recording => ({
    startedAt: clock.startedAt,
    endMs: clock.now(),
    samples,
    connections: lines.length === 0 ? null : { speak: tcp === undefined ? 'http' : 'tcp', count, log },
  });
  return {
    clock,
    get recording() {
      return recording();
    },
    get open() {
      return open();
    },
    async finish(cut) {
      stop.abort();
      cut?.addEventListener('abort', () => abort.abort(), { once: true });
      if (cut?.aborted) abort.abort();
      const end = clock.now();
      while (open() > 0 && clock.now() < end + deadlineMs + SLACK_MS && !aborting.aborted) await pause(POLL_MS);
      const result = { ...recording(), endMs: end };
      for (const line of lines) line.end(!aborting.aborted);
      abort.abort();
      await load?.done;
      return result;
    },
  };
}

function longLived(options: MeasureOptions, clock: Clock, log: ConnectionLog): LongLived[] {
  const { http, tcp, connections, deadlineMs } = options;
  const lines: LongLived[] = [];
  for (let index = 0; index < connections; index++) {
    const book = { index, clock, log, deadlineMs };
    if (tcp !== undefined) lines.push(new TcpConnection(tcp, book));
    else if (http?.keepsAlive) lines.push(new HttpConnection(http, book));
  }
  return lines;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
