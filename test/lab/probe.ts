/** Clients on another machine before, during and after a move, as `drayage probe` sees them. */
import { expect } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import type { Started } from '../../src/exec/run.ts';
import type { Summary } from '../../src/measure/summarise.ts';
import type { MigrationEvent, MigrationResult } from '../../src/migration/events.ts';
import { type Pair, startDrayage } from './harness.ts';

/** What a busy machine of two cores adds to a gap of some length; the bench measures the tight bound. */
const NOISE = { ms: 200, factor: 1.3 };

/** HTTP on port 80, and an echo of lines on port 7. */
export const SERVER = `
import asyncio
async def echo(r, w):
    try:
        while line := await r.readline():
            w.write(line); await w.drain()
    except OSError: pass
    w.close()
async def http(r, w):
    try:
        while await r.readline():
            while await r.readline() not in (b'\\r\\n', b'\\n', b''): pass
            w.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n'); await w.drain()
    except OSError: pass
    w.close()
async def main():
    servers = [await asyncio.start_server(f, None, p, backlog=1000) for f, p in ((http, 80), (echo, 7))]
    print('ready', flush=True)
    await asyncio.gather(*(s.serve_forever() for s in servers))
asyncio.run(main())
`;

/** What a client on another machine uses. */
export interface Probed {
  url: string;
  /** `HOST:PORT` */
  tcp: string;
}

/** The move, and what clients saw from before it until after it. */
export async function underProbe<T>(
  { lab }: Pair,
  { url, tcp }: Probed,
  move: () => Promise<T>,
): Promise<T & { summary: Summary }> {
  const targets = ['--url', url, '--tcp', tcp];
  const load = ['--rate', '200', '--connections', '50', '--duration', '60s', '--json'];
  const probe = startDrayage(lab.host('c'), 'probe', ...targets, ...load);
  const said = output(probe);
  try {
    await pause(2500);
    const result = await move();
    await pause(2000);
    // It waits for the answers that are due, and tells what it saw.
    await probe.interrupt();
    await probe.exited;
    const line = said.out().trim().split('\n').at(-1) ?? '';
    if (!line.startsWith('{')) throw new Error(`the probe told nothing: ${said.out()}${said.err()}`);
    return { ...result, summary: JSON.parse(line) as Summary };
  } finally {
    probe.kill('SIGKILL');
  }
}

/** With `outageMs`: nobody waited for longer. */
export function expectUnnoticed({ requests, connections, longestGap }: Summary, outageMs?: number | null): void {
  expect(requests.sent).toBeGreaterThan(500);
  expect(requests).toMatchObject({ failed: 0, failures: {} });
  expect(connections).toMatchObject({ count: 50, broken: 0 });
  const incidents = Object.entries(connections?.incidents ?? {}).filter(([, times]) => times > 0);
  expect(incidents).toEqual([]);
  if (outageMs === undefined) return;
  expect(outageMs).toEqual(expect.any(Number));
  expect(longestGap?.ms ?? 0).toBeLessThanOrEqual((outageMs ?? 0) * NOISE.factor + NOISE.ms);
}

/** Ctrl-C as the copy is being restored. */
export async function interrupted(from: LabHost): Promise<MigrationResult> {
  const cli = startDrayage(from, 'migrate', 'docker:web', '--to', 'root@b', '--json', '--yes');
  const said = output(cli);
  const events = () =>
    said
      .out()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as MigrationEvent);
  let struck = false;
  cli.stdout.on('data', () => {
    if (struck || !events().some((event) => event.type === 'phase' && event.phase === 'restore')) return;
    struck = true;
    void cli.interrupt();
  });
  await cli.exited;
  const result = events().find((event) => event.type === 'result');
  if (result?.type !== 'result') throw new Error(`no result: ${said.out()}${said.err()}`);
  return result;
}

/** What a program has said so far. */
export function output({ stdout, stderr }: Started): { out(): string; err(): string } {
  let [out, err] = ['', ''];
  stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return { out: () => out, err: () => err };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
