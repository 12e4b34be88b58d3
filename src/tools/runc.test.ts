import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../exec/run.ts';
import type { Checkpoint } from './checkpoint.ts';
import { beginCheckpoint } from './runc.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'runc-'));
  mkdirSync(join(dir, 'bin'));
  mkdirSync(join(dir, 'work'));
  // Asks for the version on a descriptor of its own, then for the dump on descriptor 3, as runc does.
  program('bin/runc', 'criu swrk 7 && exec criu swrk 3');
  // Before a dump it looks for a cache in its work directory.
  const look = `[ "$2" != 3 ] || [ "$(cd ${dir}/work && wc -c <irmap-cache)" = 8 ] || exit 1`;
  program('criu', `${look}; echo "$@ $CRIU_CONFIG_FILE" >>${dir}/calls`);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function program(name: string, body: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(dir, name), 0o755);
}

function begin(): Promise<Checkpoint> {
  const paths = { imagesDir: join(dir, 'images'), workDir: join(dir, 'work'), criuConfig: 'criu.conf' };
  const programs = { criuPath: join(dir, 'criu'), binDir: join(dir, 'bin') };
  return beginCheckpoint({ run: runner(), root: '/run/runc', containerId: 'c', ...paths, ...programs });
}

function calls(): string[] {
  return existsSync(join(dir, 'calls')) ? readFileSync(join(dir, 'calls'), 'utf8').trim().split('\n') : [];
}

test('runc gets as far as it can, and the dump waits for the word', async () => {
  const checkpoint = await begin();
  await sleep(50);
  expect(calls()).toEqual(['swrk 7 criu.conf']);
  await checkpoint.dump();
  expect(calls()).toEqual(['swrk 7 criu.conf', 'swrk 3 criu.conf']);
  await checkpoint.abandon(); // Too late: nothing happens.
});

test('the word may be said at once', async () => {
  await (await begin()).dump();
  expect(calls()).toHaveLength(2);
});

test('a CRIU that does not wait has dumped what was not frozen', async () => {
  program('criu', '');
  await expect((await begin()).dump()).rejects.toThrow('CRIU did not wait for the freeze');
});

test('a dump that is abandoned never begins', async () => {
  const checkpoint = await begin();
  await checkpoint.abandon();
  expect(calls()).toEqual(['swrk 7 criu.conf']);
  await expect(checkpoint.dump()).rejects.toThrow('runc failed');
});

test('a dump that fails tells so', async () => {
  program('criu', '[ "$2" != 3 ]');
  await expect((await begin()).dump()).rejects.toThrow('runc failed with exit status 1');
});

test('a CRIU that is killed ends the dump, even if a child of it keeps runc waiting', async () => {
  program('bin/runc', '(criu swrk 7; criu swrk 3); exec sleep 60');
  program('criu', '[ "$2" != 3 ] || kill -9 $$');
  const started = performance.now();
  await expect((await begin()).dump()).rejects.toThrow('CRIU was killed');
  expect(performance.now() - started).toBeLessThan(9000);
});
