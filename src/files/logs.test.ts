import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LogCopy } from './log-copy.ts';
import { PaddingStripper } from './log-padding.ts';
import { type LogFormat, LogSync, settle } from './logs.ts';
import { connection, scratch } from './testing/rig.ts';

interface Move extends AsyncDisposable {
  from: string;
  to: string;
  sync: LogSync;
  /** Of the receiving ends. */
  received: Promise<void>[];
}

function move(format: LogFormat = 'json-file'): Move {
  const directory = scratch();
  const from = `${directory.path}/a-json.log`;
  const to = `${directory.path}/containers/b/b-json.log`;
  const copy = new LogCopy({ path: to, format });
  const received: Promise<void>[] = [];
  const open = async () => {
    const [near, far] = await connection();
    received.push(copy.receive(far));
    return near;
  };
  const sync = new LogSync({ logPath: from, format, open });
  return {
    ...{ from, to, sync, received },
    [Symbol.asyncDispose]: async () => {
      await sync[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** Entries of a json-file log as the engine decodes them: blanks before one do not matter. */
function entries(path: string, size = Number.POSITIVE_INFINITY): string[] {
  const text = readFileSync(path).subarray(0, size).toString();
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line).log]));
}

const line = (text: string) =>
  `${JSON.stringify({ log: `${text}\n`, stream: 'stdout', time: '2026-11-20T10:00:00Z' })}\n`;

test('the whole log is there before the engine opens it, and the rest is put where the engine looks', async () => {
  await using at = move();
  writeFileSync(at.from, line('1') + line('2'));
  await at.sync.firstPass();
  const opened = statSync(at.to).size;
  appendFileSync(at.from, line('3'));
  await at.sync.prepareFinal();
  expect(await at.sync.finalPass()).toEqual({ bytes: line('3').length, lost: 0 });
  expect(statSync(at.to).size).toBe(opened);
  expect(statSync(at.to).mode & 0o777).toBe(0o640);
  // What the engine writes now stands behind the blanks.
  appendFileSync(at.to, line('4'));
  expect(entries(at.to)).toEqual(['1\n', '2\n', '3\n', '4\n']);
  await Promise.all(at.received);
});

test('a log that gained nothing is not touched again', async () => {
  await using at = move();
  writeFileSync(at.from, line('1'));
  await at.sync.firstPass();
  expect(await at.sync.finalPass()).toEqual({ bytes: 0, lost: 0 });
  expect(at.received).toHaveLength(1);
});

test('a container that never logged has no file, and may begin to', async () => {
  await using at = move();
  await at.sync.firstPass();
  expect(existsSync(at.to)).toBe(true);
  writeFileSync(at.from, line('1'));
  await at.sync.finalPass();
  expect(entries(at.to)).toEqual(['1\n']);
});

test('rotated files come along, compressed ones as they are', async () => {
  await using at = move();
  writeFileSync(at.from, line('new'));
  writeFileSync(`${at.from}.1`, line('old'));
  writeFileSync(`${at.from}.2.gz`, 'compressed');
  writeFileSync(`${at.from}.bak`, "not the engine's");
  await at.sync.firstPass();
  expect(entries(`${at.to}.1`)).toEqual(['old\n']);
  expect(readFileSync(`${at.to}.2.gz`, 'utf8')).toBe('compressed');
  expect(existsSync(`${at.to}.bak`)).toBe(false);
});

test('a first pass that is repeated leaves nothing of the one before', async () => {
  await using at = move();
  writeFileSync(at.from, line('1'));
  writeFileSync(`${at.from}.1`, line('0'));
  const lost = new LogSync({ logPath: at.from, format: 'json-file', open: async () => (await connection())[0] });
  await lost[Symbol.asyncDispose]();
  const copy = new LogCopy({ path: at.to, format: 'json-file' });
  const pass = async () => {
    const [near, far] = await connection();
    const done = copy.receive(far);
    near.end('{"op":"file","suffix":".7"}\n{"op":"file","suffix":""}\n');
    await done;
  };
  await pass();
  expect(existsSync(`${at.to}.7`)).toBe(true);
  await at.sync.firstPass();
  expect(existsSync(`${at.to}.7`)).toBe(false);
  expect(existsSync(`${at.to}.1`)).toBe(true);
});

test.each(['kept', 'deleted', 'twice'])('a rotation between the passes loses nothing (%s)', async (kind) => {
  await using at = move();
  writeFileSync(at.from, line('1'));
  await at.sync.firstPass();
  appendFileSync(at.from, line('2'));
  const expected = ['1\n', '2\n', '4\n'];
  if (kind === 'deleted') rmSync(at.from);
  else renameSync(at.from, `${at.from}.1`);
  if (kind === 'twice') {
    writeFileSync(at.from, line('3'));
    renameSync(`${at.from}.1`, `${at.from}.2`);
    renameSync(at.from, `${at.from}.1`);
    expected.splice(2, 0, '3\n');
  }
  writeFileSync(at.from, line('4'));
  await at.sync.finalPass();
  expect(entries(at.to)).toEqual(expected);
});

test('a log that outgrows its room is whole on disk, and how much does not show is told', async () => {
  await using at = move();
  writeFileSync(at.from, line('1'));
  await at.sync.firstPass();
  const opened = statSync(at.to).size;
  const much = Array.from({ length: 3000 }, (_, i) => line(`entry ${i}`)).join('');
  appendFileSync(at.from, much);
  const { lost } = await at.sync.finalPass();
  expect(lost).toBe(line('1').length + much.length - opened);
  expect(lost).toBeGreaterThan(0);
  expect(entries(at.to)).toHaveLength(3001);
});

test('blanks of an earlier move do not travel on', async () => {
  await using at = move();
  writeFileSync(at.from, `${line('1')}${' '.repeat(1 << 20)}${line('  2')}`);
  await at.sync.firstPass();
  expect(entries(at.to)).toEqual(['1\n', '  2\n']);
  expect(readFileSync(at.to, 'utf8').trimEnd()).toBe((line('1') + line('  2')).trimEnd());
});

test('blanks are taken out wherever the reads divide them, and nothing else is', () => {
  const piece = fc.oneof(fc.constantFrom(' ', '   ', '\n', '{', '" "', 'x y'), fc.constant(' '.repeat(50)));
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.integer({ min: 1, max: 20 })), (pieces, cuts) => {
      const text = pieces.join('');
      const stripper = new PaddingStripper();
      const kept: string[] = [];
      for (let at = 0, i = 0; at < text.length; i++) {
        const length = cuts[i % Math.max(1, cuts.length)] ?? 7;
        kept.push(stripper.strip(Buffer.from(text.slice(at, at + length))).toString());
        at += length;
      }
      expect(kept.join('')).toBe(text.replace(/^ +/gm, ''));
    }),
  );
});

test.each([
  ['garbage', 'garbage\n'],
  ['a path', '{"op":"file","suffix":"/../../etc/passwd"}\n'],
  ['another path', '{"op":"file","suffix":".1/../../x"}\n'],
  ['a negative length', '{"op":"data","bytes":-1}\n'],
  ['too long a block', '{"op":"data","bytes":1000000000}\n'],
  ['bytes without a file', '{"op":"data","bytes":1}\nx'],
  ['a line without an end', 'x'.repeat(10_000)],
  ['a stream that ends within a block', '{"op":"file","suffix":""}\n{"op":"data","bytes":5}\nx'],
  [
    'a log that is sent after its seal',
    '{"op":"file","suffix":""}\n{"op":"seal","reserve":0}\n{"op":"file","suffix":""}\n',
  ],
])('a target refuses %s', async (_, sent) => {
  using directory = scratch();
  const [near, far] = await connection();
  const copy = new LogCopy({ path: `${directory.path}/log`, format: 'json-file' });
  const received = copy.receive(far);
  near.end(sent);
  await expect(received).rejects.toMatchObject({ code: 'FILES_LOG_STREAM' });
});

test('a source whose target goes away is told', async () => {
  using directory = scratch();
  writeFileSync(`${directory.path}/log`, line('1').repeat(50_000));
  const open = async () => {
    const [near, far] = await connection();
    far.once('data', () => far.destroy());
    return near;
  };
  await using sync = new LogSync({ logPath: `${directory.path}/log`, format: 'json-file', open });
  await expect(sync.firstPass()).rejects.toMatchObject({ code: 'FILES_LOG_STREAM' });
});

test('a log has settled when it was quiet for a while', async () => {
  using directory = scratch();
  const path = `${directory.path}/log`;
  writeFileSync(path, '');
  const late = sleep(15).then(() => appendFileSync(path, 'x'));
  await settle(path, { quietMs: 40 });
  expect(statSync(path).size).toBe(1);
  await late;
  await settle(`${directory.path}/absent`, { quietMs: 1 });
});
