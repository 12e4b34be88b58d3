import { existsSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import { ArchiveStreams } from './archive-streams.ts';
import type { ChannelStream } from './channel-stream.ts';

const TOKEN = '0123456789abcdef0123456789abcdef';

test.each([true, false])('what was spooled goes with the connection, unless an import has it: %s', async (isKept) => {
  using directory = scratch();
  const streams = new ArchiveStreams(`${directory.path}/spool`);
  const path = streams.spooled(TOKEN);
  const connection = new AbortController();
  const stream = new PassThrough();
  stream.end('an archive');
  const context = { connection: undefined, signal: connection.signal };
  await streams.handlers['archive-in']?.(stream as unknown as ChannelStream, { token: TOKEN }, context);
  expect(existsSync(path)).toBe(true);
  if (isKept) streams.keep(path);
  connection.abort();
  if (!isKept) await vi.waitUntil(() => !existsSync(path));
  expect(existsSync(path)).toBe(isKept);
  await streams.remove(path);
  expect(existsSync(path)).toBe(false);
});
