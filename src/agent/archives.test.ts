import { existsSync } from 'node:fs';
import { duplexPair } from 'node:stream';
import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { goodHost, goodWorkload, OPTIONS } from '../../test/fixtures/facts.ts';
import { fileOutput } from '../archive/output.ts';
import { DrayageError } from '../errors.ts';
import { scratch } from '../files/testing/rig.ts';
import { ArchiveTarget } from '../migration/archive/archive-target.ts';
import type { MigrationResult } from '../migration/events.ts';
import { Journal } from '../migration/journal.ts';
import { SourceMigration } from '../migration/source-migration.ts';
import type { TargetPort } from '../migration/target-port.ts';
import { ArchiveStreams } from './archive-streams.ts';
import { Archives } from './archives.ts';
import type { Migrations, MigrationWay } from './migrations.ts';

const ID = '20261121-120000-abcd';

test.each([
  [true, false],
  [false, true],
  [true, true],
])('an import removes what was spooled, never the user’s file: spooled %s, then %s', async (first, second) => {
  using directory = scratch();
  const [one, other] = [`${directory.path}/one`, `${directory.path}/other`];
  for (const path of [one, other]) await archived(path);
  const host = new Host(directory.path);
  host.isFull = true;
  await host.archives.import({ path: one, spooled: first }, {});
  await host.waits.promise;
  host.isFull = false;
  await host.archives.import({ path: other, spooled: second }, {});
  expect(await host.done).toMatchObject({ outcome: 'committed' });
  expect([existsSync(one), existsSync(other)]).toEqual([!first, !second]);
});

test.each([
  ['opened', 'WORKLOAD_BUSY'],
  ['running', 'ARCHIVE_IMPORTED'],
] as const)('an archive whose import is %s is not imported again: %s', async (state, code) => {
  using directory = scratch();
  await archived(`${directory.path}/one`);
  await using journal = await Journal.create(directory.path, ID, 'target', { archive: ID });
  await journal.append({ type: 'state', state });
  const host = new Host(directory.path);
  await expect(host.archives.import({ path: `${directory.path}/one` }, {})).rejects.toMatchObject({ code });
});

/** With one import at a time. */
class Host {
  readonly archives: Archives;
  readonly waits = Promise.withResolvers<void>();
  isFull = false;
  done: Promise<MigrationResult> | undefined;

  constructor(directory: string) {
    const migrations = {
      start: async (request: { workload: string }, way: MigrationWay) => {
        const journal = await Journal.create(directory, ID, 'source');
        const m = new SourceMigration({
          ...{ id: ID, to: 'b', options: OPTIONS, target: this.#target(), journal, stopping: NEVER, ...request },
          ...{ self: { name: 'b', machine: 'n' }, claim: () => {}, exclusively: (work) => work() },
          ...({} as Pick<SourceMigration, 'redial' | 'reach' | 'forwards' | 'relays' | 'hostFacts'>),
        });
        this.done = (way.drive as (m: SourceMigration) => Promise<MigrationResult>)(m);
        const emit = m.emit.bind(m);
        m.emit = (event) => {
          emit(event);
          if (event.type === 'waiting') this.waits.resolve();
        };
        return ID;
      },
      show: async () => ({ id: ID, events: [] }),
    };
    this.archives = new Archives({
      migrations: migrations as unknown as Migrations,
      streams: new ArchiveStreams(`${directory}/spool`),
      hostFacts: async () => goodHost('b'),
      localTarget: () => this.#target(),
      ...{ self: { name: 'b', machine: 'n' }, version: '1', journalDir: directory },
    });
  }

  #target(): TargetPort {
    const done = async (): Promise<void> => {};
    const target: Partial<TargetPort> = {
      survey: async () => goodHost('b'),
      ...{ open: done, begin: done, restore: done, lost: new Promise(() => {}) },
      create: async () => ({ containerId: 'c', notes: [] }),
      channel: async () => {
        if (this.isFull) throw new DrayageError('FILES_NO_SPACE', 'As told.');
        const [near, far] = duplexPair();
        far.resume().end();
        return near;
      },
      commit: async () => ({ outcome: 'running', sinceMs: 0 }),
      release: async () => ({ spans: [], notes: [] }),
      abort: async () => ({ spans: [] }),
    };
    return target as TargetPort;
  }
}

const NEVER = new AbortController().signal;

async function archived(path: string): Promise<void> {
  const target = new ArchiveTarget({
    output: await fileOutput(path),
    hostFacts: async () => goodHost('a'),
    ...{ self: { name: 'a', machine: 'm' }, drayage: '1' },
  });
  await target.open({ id: ID, workload: goodWorkload(), options: OPTIONS, parents: {} });
  const image = await target.channel(ID, 'image', {});
  image.resume().end('an image');
  await finished(image);
  await target.settle();
  await target.begin(ID, { descriptors: [] });
  expect(await target.commit()).toMatchObject({ outcome: 'running' });
}
