/** What a log says is forgotten as it is read: memory does not grow with it. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { matters } from '../../src/replay/dockerfile/steps.ts';
import { readSession } from '../../src/replay/session/read-session.ts';

const SMALL_MB = 4;
const LARGE_MB = 40;
/** Lines of output of one command. */
const LINES = 2000;

let dir: string;
let collectGarbage: () => void;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drayage-memory-'));
  setFlagsFromString('--expose-gc');
  collectGarbage = runInNewContext('gc');
});
afterAll(() => rm(dir, { recursive: true }));

test('ten times the log, the same memory', async () => {
  const path = await written(SMALL_MB);
  await heldBy(path); // The programs themselves, which are compiled now.
  const small = await heldBy(path);
  const large = await heldBy(await written(LARGE_MB));
  expect(large.commands).toBeGreaterThan(9 * small.commands);
  expect(large.bytes - small.bytes).toBeLessThan(4 << 20);
}, 120_000);

/** What is in use at most, as seen now and then after garbage was collected. */
async function heldBy(path: string): Promise<{ commands: number; bytes: number }> {
  collectGarbage();
  const before = process.memoryUsage();
  let bytes = 0;
  let lines = 0;
  const look = (line: string): boolean => {
    if (lines++ % 200 === 0) {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      bytes = Math.max(bytes, heapUsed + external - before.heapUsed - before.external);
    }
    return matters(line);
  };
  const { commands } = await readSession(path, { matters: look });
  return { commands: commands.length, bytes };
}

async function written(megabytes: number): Promise<string> {
  const path = join(dir, `${megabytes}.jsonl`);
  const file = createWriteStream(path);
  let timeMs = Date.parse('2026-11-21T06:00:00Z');
  const entry = (log: string, gapMs = 1) => {
    timeMs += gapMs;
    return `${JSON.stringify({ log, stream: 'stdout', time: new Date(timeMs).toISOString() })}\n`;
  };
  for (let bytes = 0, n = 0; bytes < megabytes << 20; n++) {
    let block = entry(`\x1b[?2004hroot@dev:/# make part${n}\r\n`, 500) + entry('\x1b[?2004l\r');
    for (let i = 0; i < LINES; i++) {
      block += entry(`\x1b[32mcc -O2 -c part${n}/file${i}.c\x1b[0m -o build/part${n}/file${i}.o\r\n`);
    }
    bytes += block.length;
    if (!file.write(block)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return path;
}
