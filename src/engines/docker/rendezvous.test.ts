import { closeSync, constants, openSync, readlinkSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner, start } from '../../exec/run.ts';
import { criuWrapper } from './rendezvous.ts';

let dir: string;
let events: number;
let go: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rendezvous-'));
  await runner()('mkfifo', [join(dir, 'events'), join(dir, 'go')]);
  [events, go] = ['events', 'go'].map((name) => {
    return openSync(join(dir, name), constants.O_RDWR | constants.O_NONBLOCK);
  }) as [number, number];
  writeFileSync(join(dir, 'criu'), criuWrapper(dir, '/bin/true'), { mode: 0o700 });
});
afterEach(async () => {
  for (const fd of [events, go]) closeSync(fd);
  await rm(dir, { recursive: true, force: true });
});

test('runc finds the streams of the container in its criu, however long that takes to say that it waits', async () => {
  const page = Buffer.alloc(4096, '\n');
  const fill = () => {
    for (;;) writeSync(events, page);
  };
  expect(fill).toThrow('EAGAIN');
  const criu = start(join(dir, 'criu'), ['swrk', '3']);
  const streams = () => [0, 1, 2].map((fd) => readlinkSync(`/proc/${criu.pid}/fd/${fd}`));
  try {
    const atFirst = streams();
    for (let look = 0; look < 100; look++) {
      expect(streams()).toEqual(atFirst);
      expect(streams()).not.toContain(join(dir, 'events'));
      await sleep(2);
    }
  } finally {
    readSync(events, page);
    writeSync(go, 'abort\n');
    expect(await criu.exited).toMatchObject({ code: 1 });
  }
});
