/** What clients saw of several moves of the web server: pure, from what probes told to the fields of bench/results.json. */
import type { Summary as Measured } from '../src/measure/summarise.ts';
import type { RequestRound } from './rounds.ts';
import { type Summary, summarize } from './statistics.ts';

/** One move under load, one with requests in rounds, and downloads after the first. */
export interface WebRun {
  /** As the mover tells: drayage, or the script. */
  outageMs: number;
  /** As `drayage probe` or `drayage bench` tells. */
  seen: Pick<Measured, 'requests' | 'connections' | 'longestGap' | 'lag'>;
  rounds: readonly RequestRound[];
  /** Bytes a second from the source's forwarded port, and from the target's own one. */
  download: { forwarded: readonly number[]; direct: readonly number[] };
}

export interface WebFigures {
  requests: number;
  failedRequests: number;
  /** How they failed; the kinds are of src/measure/failure.ts. */
  failures: Record<string, number>;
  /** Long-lived connections of all runs, and how often one of them broke: was reset, closed or silent. */
  connections: number;
  resets: number;
  messages: number;
  lostMessages: number;
  repeatedMessages: number;
  outageMs: Summary;
  /** Of any client in a run. */
  longestGapMs: Summary;
  /** How much longer than the outage of its run. */
  gapBeyondOutageMs: Summary;
  /** How late the load itself was at worst, which may be part of a gap. */
  ownLagMs: Summary;
  /** Throughput of a download through the forwarded port by that from the target's own. */
  forwardedVsDirect: Summary;
  forwardedMBps: number;
  directMBps: number;
  /** Rounds of 100 requests as fast as they go, ten at a time. */
  rounds: RoundFigures;
}

interface RoundFigures {
  /** Rounds in which some request failed, over all runs. */
  broken: number;
  /** Lowest share of answered requests in a round of each run. */
  worst: Summary;
  /** The longest round of each run: beside the usual one, what the outage cost. */
  longestMs: Summary;
  usualMs: number;
  /** Share of answered requests of each round around the move, in the run that fared worst. */
  example: number[];
}

export function webFigures(runs: readonly WebRun[]): WebFigures {
  const sum = (pick: (run: WebRun) => number | undefined) => runs.reduce((total, run) => total + (pick(run) ?? 0), 0);
  const gapOf = (run: WebRun) => run.seen.longestGap?.ms ?? 0;
  const ratios = runs.map(({ download }) => middle(download.forwarded) / middle(download.direct));
  const rate = (pick: (run: WebRun) => readonly number[]) => Math.round(middle(runs.flatMap(pick)) / 1e6);
  return {
    requests: sum(({ seen }) => seen.requests.sent),
    failedRequests: sum(({ seen }) => seen.requests.failed),
    failures: failuresOf(runs),
    connections: sum(({ seen }) => seen.connections?.count),
    resets: sum(({ seen }) => seen.connections?.broken),
    messages: sum(({ seen }) => seen.connections?.answered),
    lostMessages: sum(({ seen }) => seen.connections?.incidents.lost),
    repeatedMessages: sum(({ seen }) => seen.connections?.incidents.repeated),
    outageMs: summarize(runs.map(({ outageMs }) => outageMs)),
    longestGapMs: summarize(runs.map(gapOf)),
    gapBeyondOutageMs: summarize(runs.map((run) => gapOf(run) - run.outageMs)),
    ownLagMs: summarize(runs.map(({ seen }) => seen.lag.max ?? 0)),
    forwardedVsDirect: summarize(ratios, 3),
    forwardedMBps: rate(({ download }) => download.forwarded),
    directMBps: rate(({ download }) => download.direct),
    rounds: roundFigures(runs.map(({ rounds }) => rounds)),
  };
}

function failuresOf(runs: readonly WebRun[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { seen } of runs) {
    for (const [kind, count] of Object.entries(seen.requests.failures)) all[kind] = (all[kind] ?? 0) + count;
  }
  return all;
}

function roundFigures(runs: readonly (readonly RequestRound[])[]): RoundFigures {
  const rates = runs.map((rounds) => rounds.map(({ answered, asked }) => answered / asked));
  const worst = rates.map((each) => Math.min(...each));
  const example = rates[worst.indexOf(Math.min(...worst))] ?? [];
  return {
    broken: rates.flat().filter((rate) => rate < 1).length,
    worst: summarize(worst, 2),
    longestMs: summarize(runs.map((rounds) => Math.max(...rounds.map(({ ms }) => ms)))),
    usualMs: Math.round(middle(runs.flat().map(({ ms }) => ms))),
    example: aroundFailures(example),
  };
}

/** From the last whole round before the first that is not, to the first whole one after the last. */
function aroundFailures(rates: readonly number[]): number[] {
  const first = rates.findIndex((rate) => rate < 1);
  if (first === -1) return rates.slice(0, 1);
  return rates.slice(Math.max(0, first - 1), rates.findLastIndex((rate) => rate < 1) + 2);
}

function middle(values: readonly number[]): number {
  return summarize(values, 6).median;
}
