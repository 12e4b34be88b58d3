/**
 * A client in a lab host: asks a web server 100 times, ten at a time, each on a connection of its own, as fast as they
 * go; and again, until standard input ends. Usage: node rounds.mjs URL; prints the rounds as JSON.
 */
import { Client } from 'undici';
import { get } from '../src/measure/get.ts';
import { type HttpTarget, parseUrl, reachHttp } from '../src/measure/target.ts';

export interface RequestRound {
  /** Requests with a whole answer of a status below 400. */
  answered: number;
  asked: number;
  ms: number;
}

const REQUESTS = 100;
const AT_A_TIME = 10;
const DEADLINE_MS = 10_000;

const target = await reachHttp(parseUrl(process.argv[2] ?? ''));
let ended = false;
process.stdin.resume().once('end', () => {
  ended = true;
});
const rounds: RequestRound[] = [];
while (!ended) rounds.push(await round(target));
process.stdout.write(`${JSON.stringify(rounds)}\n`);
process.exit();

async function round(to: HttpTarget): Promise<RequestRound> {
  const startedAt = performance.now();
  let [asked, answered] = [0, 0];
  const one = async () => {
    while (asked < REQUESTS) {
      asked++;
      if (await ask(to)) answered++;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
  return { answered, asked, ms: Math.round(performance.now() - startedAt) };
}

async function ask({ url, connector }: HttpTarget): Promise<boolean> {
  const client = new Client(url.origin, { connect: connector });
  const { error, status } = await get(client, url, DEADLINE_MS, { close: true });
  client.destroy().catch(() => {});
  return error === undefined && status < 400;
}
