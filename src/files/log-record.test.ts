import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lastRecordStart } from './log-record.ts';
import { LocalTail } from './log-tail.ts';
import { scratch } from './testing/rig.ts';

/** A message of the local driver: source, time, line. */
function record(line: string): Buffer {
  const field = (number: number, bytes: Buffer) =>
    Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
  const message = Buffer.concat([field(1, Buffer.from('stdout')), Buffer.from([0x10, 1]), field(3, Buffer.from(line))]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message, length]);
}

function varint(value: number): Buffer {
  return value < 0x80 ? Buffer.from([value]) : Buffer.from([(value & 0x7f) | 0x80, value >>> 7]);
}

/** As moby's decoder and its tail reader do, by lengths from either end; lines of those that are from a stream. */
function linesOf(file: Buffer): { forward: string[]; backward: number } {
  const forward: string[] = [];
  let records = 0;
  for (let at = 0; at < file.length; records++) {
    const length = file.readUInt32BE(at);
    expect(length).toBeLessThanOrEqual(1e6);
    const fields = fieldsOf(file.subarray(at + 4, at + 4 + length));
    if (fields.has(1)) forward.push(fields.get(3)?.toString() ?? '');
    expect(file.readUInt32BE(at + 4 + length)).toBe(length);
    at += 8 + length;
  }
  let backward = 0;
  for (let end = file.length; end > 0; backward++) {
    const length = file.readUInt32BE(end - 4);
    expect(file.readUInt32BE(end - 8 - length)).toBe(length);
    end -= 8 + length;
  }
  expect(backward).toBe(records);
  return { forward, backward };
}

function fieldsOf(message: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>();
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    if ((tag & 7) === 0) number();
    else {
      const length = number();
      fields.set(tag >> 3, message.subarray(at, at + length));
      at += length;
    }
  }
  expect(at).toBe(message.length);
  return fields;
}

const lines = fc.array(fc.string({ maxLength: 300 }), { maxLength: 12 });

test('what comes late stands in its place, and the size is what the engine found', () => {
  fc.assert(
    fc.property(lines, lines, fc.integer({ min: 4000, max: 500_000 }), (early, late, reserve) => {
      using directory = scratch();
      const path = `${directory.path}/container.log`;
      const written = Buffer.concat(early.map(record));
      writeFileSync(path, written);
      const tail = new LocalTail({ path, size: written.length, reserve });
      expect(statSync(path).size).toBe(written.length + reserve);
      for (const line of late) tail.add(record(line));
      const { size } = statSync(path);
      expect(tail.finish()).toBe(0);
      expect(statSync(path).size).toBe(size);
      expect(linesOf(readFileSync(path)).forward).toEqual([...early, ...late]);
    }),
  );
});

test('what finds no room is left out, whole records at a time', () => {
  fc.assert(
    fc.property(
      lines,
      fc.array(fc.string({ minLength: 100, maxLength: 300 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 12, max: 1000 }),
      (early, late, reserve) => {
        using directory = scratch();
        const path = `${directory.path}/container.log`;
        const written = Buffer.concat(early.map(record));
        writeFileSync(path, written);
        const tail = new LocalTail({ path, size: written.length, reserve });
        const sent = late.map(record);
        tail.add(Buffer.concat(sent));
        const lost = tail.finish();
        const { forward } = linesOf(readFileSync(path));
        expect(forward).toEqual([...early, ...late].slice(0, forward.length));
        const missing = [...early, ...late].slice(forward.length).map(record);
        expect(lost).toBe(Buffer.concat(missing).length);
      },
    ),
  );
});

test('where the last record begins is found also behind one that was being written', () => {
  using directory = scratch();
  const path = `${directory.path}/container.log`;
  const whole = Buffer.concat([record('one'), record('two')]);
  const cases: [Buffer, number][] = [
    [Buffer.alloc(0), 0],
    [whole, record('one').length],
    [Buffer.concat([whole, record('three').subarray(0, 9)]), whole.length],
    [whole.subarray(0, 5), 0],
  ];
  for (const [content, start] of cases) {
    writeFileSync(path, content);
    const fd = openSync(path, 'r');
    expect(lastRecordStart(fd, content.length)).toBe(start);
    closeSync(fd);
  }
});
