import { expect, test } from 'vitest';
import { packingOutcome, readIndex } from './tar.ts';

test('names come out of the index as they are on disk', () => {
  const index = './\n./plain\n./dir/\n./new\\nline\n./back\\\\slash\n./\\303\\244\n./sp ace\n./tab\\t\\001\n';
  expect([...readIndex(index)]).toEqual([
    ...['', 'plain', 'dir', 'new\nline', 'back\\slash', '\xc3\xa4', 'sp ace', 'tab\t\x01'],
  ]);
});

test('what the end of tar means', () => {
  expect(packingOutcome('v', { code: 0, stderr: 'tar: ./s: socket ignored\n' })).toBe('complete');
  expect(packingOutcome('v', { code: 1, stderr: 'tar: ./f: file changed as we read it\n' })).toBe('raced');
  for (const why of ['Wrote only 5120 of 10240 bytes', 'Cannot write: No space left on device']) {
    const full = () => packingOutcome('v', { code: 2, stderr: `tar: ./big: ${why}\n` });
    expect(full).toThrow(expect.objectContaining({ code: 'FILES_NO_SPACE' }));
  }
  expect(() => packingOutcome('v', { code: null, stderr: '' })).toThrow(
    expect.objectContaining({ code: 'FILES_TRANSFER' }),
  );
});
