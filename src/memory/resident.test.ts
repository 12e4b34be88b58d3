import { expect, test } from 'vitest';
import { innermostPid, openProcess, pageSize } from './process-memory.ts';
import { privateRegions } from './resident.ts';

const MAPS = `00400000-00401000 r--p 00000000 00:14d 1335                               /bin/sh
2e4e6000-2e508000 rw-p 00000000 00:00 0                                  [heap]
7f6cf0000000-7f6cf0293000 rw-s 00000000 00:01 2049                       /dev/zero (deleted)
7ffd6e7ff000-7ffd6e820000 rw-p 00000000 00:00 0                          [stack]
7ffd6e9ab000-7ffd6e9af000 r--p 00000000 00:00 0                          [vvar]
7ffd6e9af000-7ffd6e9b1000 r--p 00000000 00:00 0                          [vvar_vclock]
7ffd6e9b1000-7ffd6e9b3000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

test("private mappings are looked at, shared ones and the kernel's own are not", () => {
  expect(privateRegions(MAPS)).toEqual([
    { page: 0x400, pages: 1 },
    { page: 0x2e4e6, pages: 0x22 },
    { page: 0x7ffd6e7ff, pages: 0x21 },
  ]);
});

test('a process is known by its pid in the innermost namespace', () => {
  expect(innermostPid('Name:\tsh\nNSpid:\t1273\t90\nThreads:\t1\n')).toBe(90);
  expect(innermostPid('NSpid:\t7\n')).toBe(7);
});

test('the size of pages is in the auxiliary vector', () => {
  const vector = Buffer.alloc(48);
  vector.writeBigUInt64LE(3n, 0);
  vector.writeBigUInt64LE(6n, 16);
  vector.writeBigUInt64LE(16384n, 24);
  expect(pageSize(vector)).toBe(16384);
  expect(pageSize(Buffer.alloc(0))).toBeUndefined();
});

test('memory of a running process is found where it is', (context) => {
  const marked = Buffer.alloc(3 << 20, 'drayage!');
  const memory = openProcess(process.pid);
  if (memory === undefined) return context.skip(); // No right to, or other pages.
  const page = Buffer.alloc(4096, 'drayage!');
  const into = Buffer.alloc(1 << 20);
  let found = 0;
  for (const run of memory.resident(256)) {
    expect(run.pages).toBeLessThanOrEqual(256);
    const length = memory.read(run, into) * 4096;
    for (let at = 0; at < length; at += 4096) if (page.compare(into, at, at + 4096) === 0) found++;
  }
  memory.close();
  expect(found).toBeGreaterThanOrEqual(marked.length / 4096 - 1);
});

test('a process that has ended is none', () => {
  expect(openProcess(2 ** 22 + 1)).toBeUndefined();
});
