import { appendFile, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MigrationEvent } from './events.ts';
import { Journal, journalPath } from './journal.ts';
import { MAX_LINE_BYTES } from './journal-file.ts';
import { eventsOf, type JournalRecord, lastState, type NewRecord, openResources, STATES } from './journal-records.ts';

let dir: string;
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'journal-')), 'journal');
});
afterEach(() => rm(join(dir, '..'), { recursive: true, force: true }));

const note = (message: string): NewRecord => ({ type: 'event', event: { time: 1, id: 'm1', type: 'note', message } });
const bare = (records: readonly JournalRecord[]) => records.map(({ time: _, ...rest }) => rest);

describe('writing and reading', () => {
  test('what was appended is read back, in order, from a private file', async () => {
    await using journal = await Journal.create(dir, 'm1', 'source', { workload: 'docker:web' });
    journal.appendLazy(note('first'));
    await journal.append({ type: 'state', state: 'frozen', data: { pid: 7 } });
    await journal.append({
      type: 'acquired',
      resource: { kind: 'network', key: 'network:web_default', name: 'web_default' },
    });
    await journal.append({ type: 'released', key: 'network:web_default' });
    const records = await Journal.read(journalPath(dir, 'm1', 'source'));
    expect(bare(records)).toEqual([
      { type: 'header', format: 1, id: 'm1', side: 'source', data: { workload: 'docker:web' } },
      note('first'),
      { type: 'state', state: 'frozen', data: { pid: 7 } },
      { type: 'acquired', resource: { kind: 'network', key: 'network:web_default', name: 'web_default' } },
      { type: 'released', key: 'network:web_default' },
    ]);
    expect(journal.records).toEqual(records);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect((await stat(journal.path)).mode & 0o777).toBe(0o600);
  });

  test('an append is on disk when it resolves; lazy records are there by the time of close', async () => {
    const journal = await Journal.create(dir, 'm1', 'source');
    await journal.append(note('now'));
    expect(await readFile(journal.path, 'utf8')).toContain('"now"');
    journal.appendLazy(note('later'));
    await journal.close();
    expect(await readFile(journal.path, 'utf8')).toContain('"later"');
    await expect(journal.append(note('too late'))).rejects.toMatchObject({ code: 'JOURNAL_WRITE' });
  });

  test('there is one journal for a migration and side', async () => {
    await using _journal = await Journal.create(dir, 'm1', 'source');
    await using _other = await Journal.create(dir, 'm1', 'target');
    await expect(Journal.create(dir, 'm1', 'source')).rejects.toMatchObject({ code: 'JOURNAL_WRITE' });
    expect((await readdir(dir)).sort()).toEqual(['m1.source.jsonl', 'm1.target.jsonl']);
  });

  test.each(['../evil', '', 'a/b', '.hidden', '-x', 'x'.repeat(65), 'a\0b'])('the id %j names no file', async (id) => {
    await expect(Journal.create(dir, id, 'source')).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('a record over 1 MiB is refused and leaves the journal in order', async () => {
    await using journal = await Journal.create(dir, 'm1', 'source');
    await expect(journal.append(note('x'.repeat(MAX_LINE_BYTES)))).rejects.toMatchObject({ code: 'JOURNAL_WRITE' });
    await journal.append(note('small'));
    expect(await Journal.read(journal.path)).toHaveLength(2);
  });
});

describe('after a crash', () => {
  test('reopen cuts a torn line off and goes on', async () => {
    const first = await Journal.create(dir, 'm1', 'target');
    await first.append({ type: 'state', state: 'opened' });
    await first.close();
    await appendFile(first.path, '{"time":1,"type":"sta');
    expect(await Journal.read(first.path)).toHaveLength(2);
    const second = await Journal.reopen(first.path);
    await second.append({ type: 'state', state: 'aborted' });
    await second.close();
    expect(lastState(await Journal.read(first.path))).toBe('aborted');
    expect(second.records).toHaveLength(3);
  });

  test('any records, cut at any byte, read back as a prefix of what was appended', async () => {
    const record: fc.Arbitrary<NewRecord> = fc.oneof(
      fc.record({ type: fc.constant('state'), state: fc.constantFrom(...STATES), data: fc.jsonValue() }),
      fc
        .string({ unit: 'grapheme' })
        .map((name): NewRecord => ({ type: 'acquired', resource: { kind: 'volume', key: name, name } })),
      fc.string().map((key): NewRecord => ({ type: 'released', key })),
      fc.string({ unit: 'binary' }).map(note),
    ) as fc.Arbitrary<NewRecord>;
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { maxLength: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (all, cut) => {
          const journal = await Journal.create(dir, `p${run++}`, 'source');
          await Promise.all(all.map((one, i) => (i % 3 === 0 ? journal.append(one) : journal.appendLazy(one))));
          await journal.close();
          const whole = await Journal.read(journal.path);
          expect(JSON.stringify(bare(whole).slice(1))).toBe(JSON.stringify(all));
          await truncate(journal.path, Math.floor((await stat(journal.path)).size * cut));
          const rest = await Journal.read(journal.path);
          expect(rest).toEqual(whole.slice(0, rest.length));
          if (cut === 1) expect(rest).toHaveLength(whole.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([
    ['a line that is not JSON', '{"time":1,"typ\n', 'line 2 of m1.source.jsonl is not JSON'],
    ['a record of no known type', '{"time":1,"type":"banana"}\n', 'line 2 of m1.source.jsonl is not a record'],
    ['a state of no known name', '{"time":1,"type":"state","state":"asleep"}\n', 'line 2'],
    ['zeros', '\0\0\0\0\n', 'line 2'],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0x7d, 0x0a]), 'line 2'],
    ['a line without end', Buffer.concat([Buffer.alloc(MAX_LINE_BYTES, 'x'), Buffer.from('\n')]), 'longer than'],
  ])('%s is JOURNAL_CORRUPT, naming file and line', async (_, bytes, says) => {
    const journal = await Journal.create(dir, 'm1', 'source');
    await journal.close();
    await appendFile(journal.path, bytes);
    const error = await Journal.read(journal.path).catch((e) => e);
    expect(error).toMatchObject({ code: 'JOURNAL_CORRUPT' });
    expect(error.message).toContain(says);
    expect(error.message).toContain(journal.path);
    await expect(Journal.reopen(journal.path)).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT' });
  });

  test('a first line that is no header is JOURNAL_CORRUPT', async () => {
    const journal = await Journal.create(dir, 'm1', 'source');
    await journal.close();
    await writeFile(journal.path, '{"time":1,"type":"state","state":"frozen"}\n');
    await expect(Journal.read(journal.path)).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT' });
  });

  test('list tells of the bad one and keeps the good ones', async () => {
    for (const id of ['a', 'b', 'c']) await (await Journal.create(dir, id, 'source')).close();
    await writeFile(journalPath(dir, 'b', 'source'), 'rubbish\n');
    await writeFile(join(dir, 'README'), 'not a journal');
    const listed = await Journal.list(dir);
    expect(listed.map((e) => [e.id, e.side, 'error' in e ? e.error.code : e.records.length])).toEqual([
      ['a', 'source', 1],
      ['b', 'source', 'JOURNAL_CORRUPT'],
      ['c', 'source', 1],
    ]);
    expect(await Journal.list(join(dir, 'absent'))).toEqual([]);
  });
});

test('a full disk fails the append and leaves no torn line behind', async () => {
  // /dev/full answers every write with ENOSPC.
  await using full = await open('/dev/full', 'a');
  const journal = await Journal.create(dir, 'm1', 'source');
  const { path } = journal;
  const appendToFull = full.appendFile.bind(full);
  const prototype = Object.getPrototypeOf(full) as typeof full;
  const { appendFile: original } = prototype;
  prototype.appendFile = appendToFull;
  try {
    await expect(journal.append(note('lost'))).rejects.toMatchObject({
      code: 'JOURNAL_WRITE',
      remedy: expect.stringContaining('Make room'),
    });
  } finally {
    prototype.appendFile = original;
  }
  await journal.append(note('kept'));
  await journal.close();
  expect(bare(await Journal.read(path)).slice(1)).toEqual([note('kept')]);
});

describe('following', () => {
  test('gives what is there and then what comes, from a position, until close', async () => {
    const journal = await Journal.create(dir, 'm1', 'source');
    await journal.append(note('one'));
    const seen: string[] = [];
    const reading = (async () => {
      for await (const record of journal.follow(1)) {
        if (record.type === 'event' && record.event.type === 'note') seen.push(record.event.message);
      }
    })();
    journal.appendLazy(note('two'));
    await journal.append(note('three'));
    await journal.close();
    await reading;
    expect(seen).toEqual(['one', 'two', 'three']);
  });

  test('ends with its signal', async () => {
    await using journal = await Journal.create(dir, 'm1', 'source');
    const controller = new AbortController();
    const reading = (async () => {
      let count = 0;
      for await (const _ of journal.follow(0, controller.signal)) count++;
      return count;
    })();
    await journal.append(note('one'));
    controller.abort();
    expect(await reading).toBe(2);
  });
});

describe('what follows from records', () => {
  const at = (record: NewRecord): JournalRecord => ({ time: 1, ...record });

  test('open resources come newest first, without the released ones', () => {
    const net = { kind: 'network', key: 'n' };
    const volume = { kind: 'volume', key: 'v' };
    const stage = { kind: 'stage', key: 's' };
    const records = [net, volume, stage].map((resource) => at({ type: 'acquired', resource }));
    expect(openResources(records)).toEqual([stage, volume, net]);
    expect(openResources([...records, at({ type: 'released', key: 'v' })])).toEqual([stage, net]);
    expect(openResources([...records, at({ type: 'acquired', resource: net })])).toEqual([net, stage, volume]);
  });

  test('the last state, and the events', () => {
    const event: MigrationEvent = { time: 1, id: 'm1', type: 'phase', phase: 'freeze' };
    const records = [
      at({ type: 'state', state: 'started' }),
      at({ type: 'event', event }),
      at({ type: 'state', state: 'intent' }),
    ];
    expect(lastState(records)).toBe('intent');
    expect(lastState([])).toBeUndefined();
    expect(eventsOf(records)).toEqual([event]);
  });
});
