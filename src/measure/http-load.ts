/**
 * New requests at a fixed rate, each on a connection of its own: an open loop. A request's latency counts from when it
 * was to be sent, so a server that stalls is not spared the requests of those who would have come meanwhile (Gil Tene's
 * "coordinated omission").
 */
import { Client } from 'undici';
import type { Clock } from './clock.ts';
import { failureOf } from './failure.ts';
import { get } from './get.ts';
import type { RequestOutcome, RequestSample } from './samples.ts';
import { schedule } from './schedule.ts';
import type { HttpTarget } from './target.ts';

export interface HttpLoadOptions {
  target: HttpTarget;
  clock: Clock;
  /** Requests a second. */
  rate: number;
  /** After which a request has failed, from its intended start. */
  deadlineMs: number;
  onSample: (sample: RequestSample) => void;
  /** No further request is sent. */
  stop: AbortSignal;
  /** Those under way are given up, too, and not counted. */
  abort: AbortSignal;
}

export interface HttpLoad {
  /** Requests under way. */
  readonly open: number;
  /** Resolves when, after `stop`, the last request has ended. */
  readonly done: Promise<void>;
}

export function startHttpLoad(options: HttpLoadOptions): HttpLoad {
  const { clock, rate, deadlineMs, stop, abort, onSample } = options;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let open = 0;
  const one = async (atMs: number) => {
    open++;
    const lagMs = clock.now() - atMs;
    const outcome = await ask(options, Math.max(1, deadlineMs - lagMs), abort);
    open--;
    if (!abort.aborted) onSample({ atMs, latencyMs: clock.now() - atMs, outcome, lagMs });
    if (stop.aborted && open === 0) resolve();
  };
  const ended = AbortSignal.any([stop, abort]);
  ended.addEventListener('abort', () => open === 0 && resolve(), { once: true });
  if (ended.aborted) resolve();
  else schedule({ clock, intervalMs: 1000 / rate, signal: ended, due: (_, atMs) => void one(atMs) });
  return {
    get open() {
      return open;
    },
    done,
  };
}

async function ask({ target }: HttpLoadOptions, deadlineMs: number, signal: AbortSignal): Promise<RequestOutcome> {
  const { url, connector } = target;
  const client = new Client(url.origin, { connect: connector, headersTimeout: 0, bodyTimeout: 0 });
  const { status, error } = await get(client, url, deadlineMs, { close: true, signal });
  client.destroy().catch(() => {});
  if (error !== undefined) return failureOf(error);
  return status < 400 ? 'ok' : 'status';
}
