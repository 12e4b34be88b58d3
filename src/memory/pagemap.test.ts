import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodePagemap, encodePagemap, PE_PARENT, PE_PRESENT } from './pagemap.ts';

/** Of a busybox shell, as CRIU 4.2.1 wrote it. */
const RECORDED = Buffer.from(
  'GUNWVCVACFYCAAAACAELAAAACICggAIQACAEKAELAAAACIDA+gIQACAEKAELAAAACICA+wIQACAEKAMLAAAACIDg+wIQACAGKAELAAAACICA/QIQACAGKAMMAAAACIDAufICEAAgBigEDgAAAAiA4KSBz+0fEAAgBCgCDgAAAAiAgIf01v8fEAAgBigE',
  'base64',
);

test('an image that CRIU wrote is understood', () => {
  expect(decodePagemap(RECORDED)).toEqual({
    pagesId: 1,
    entries: [
      { page: 0x401, pages: 1, flags: 4 },
      { page: 0x5ea, pages: 1, flags: 4 },
      { page: 0x5ec, pages: 3, flags: 4 },
      { page: 0x5ef, pages: 1, flags: 6 },
      { page: 0x5f4, pages: 3, flags: 6 },
      { page: 0x2e4e6, pages: 4, flags: 6 },
      { page: 0x7f6cf0293, pages: 2, flags: 4 },
      { page: 0x7ffd6e81c, pages: 4, flags: 6 },
    ],
  });
});

test('what is encoded is decoded again, for every address a process can have', () => {
  const entry = fc.record({
    page: fc.nat(2 ** 45 - 1),
    pages: fc.integer({ min: 1, max: 2 ** 31 }),
    flags: fc.constantFrom(PE_PARENT, PE_PRESENT, 6),
  });
  fc.assert(
    fc.property(fc.nat(), fc.array(entry), (pagesId, entries) => {
      expect(decodePagemap(encodePagemap({ pagesId, entries }))).toEqual({ pagesId, entries });
    }),
  );
});

test('what is not understood is refused: other magic, cut short, fields and marks that are not known', () => {
  const good = encodePagemap({ pagesId: 1, entries: [{ page: 1, pages: 1, flags: PE_PRESENT }] });
  expect(() => decodePagemap(Buffer.alloc(8))).toThrow('not a pagemap');
  expect(() => decodePagemap(good.subarray(0, good.length - 1))).toThrow('cut short');
  expect(() => decodePagemap(good.subarray(0, 8))).toThrow('without a head');
  const unknownField = Buffer.concat([good, Buffer.from([4, 0, 0, 0, 8, 0, 0x30, 1])]);
  expect(() => decodePagemap(unknownField)).toThrow('field 6');
  const inParent = Buffer.concat([good, Buffer.from([6, 0, 0, 0, 8, 0, 0x10, 1, 0x18, 1])]);
  expect(() => decodePagemap(inParent)).toThrow('not known');
});
