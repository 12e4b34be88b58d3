import { expect, test } from 'vitest';
import { senderArgs, transferOutcome } from './rsync.ts';

/** As rsync 3.2.7, 3.4.1 and 3.5.0 print them. */
test.each([
  ['', 0, 'complete'],
  [
    'rsync warning: some files vanished before they could be transferred (code 24) at main.c(1358) [sender=3.4.1]',
    24,
    'raced',
  ],
  [
    'file has vanished: "/v/a"\nrsync: [sender] link_stat "/v/b" failed: No such file or directory (2)\n' +
      'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1358) [sender=3.4.1]',
    23,
    'raced',
  ],
  [
    'rsync: [sender] read errors mapping "/v/a": No data available (61)\nWARNING: a failed verification -- update discarded (will try again).\n' +
      'ERROR: a failed verification -- update discarded.\n' +
      'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.2.7]',
    23,
    'raced',
  ],
])('%j with exit status %i is %s', (stderr, code, outcome) => {
  expect(transferOutcome('volume:v', { code, stderr })).toBe(outcome);
});

test.each([
  [
    'rsync: [receiver] write failed on "a" (in tree): No space left on device (28)\n' +
      'rsync error: error in file IO (code 11) at receiver.c(381) [receiver=3.4.1]',
    11,
    'FILES_NO_SPACE',
    'No space left',
  ],
  [
    'rsync: [receiver] open "/a" (in tree) failed: No such file or directory (2)\n' +
      'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.4.1]',
    23,
    'FILES_TRANSFER',
    'open "/a"',
  ],
  [
    'rsync: [sender] read errors mapping "/v/a": Input/output error (5)\n' +
      'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.4.1]',
    23,
    'FILES_TRANSFER',
    'Input/output error',
  ],
  [
    'rsync: connection unexpectedly closed (0 bytes received so far) [sender]',
    12,
    'FILES_TRANSFER',
    'unexpectedly closed',
  ],
  ['', null, 'FILES_TRANSFER', 'ended by a signal'],
])('%j with exit status %j is %s', (stderr, code, error, message) => {
  expect(() => transferOutcome('volume:v', { code, stderr })).toThrow(
    expect.objectContaining({ code: error, message: expect.stringContaining(message) }),
  );
});

test('paths come after the options, so that none of them can be one', () => {
  for (const args of [
    senderArgs({ kind: 'whole', root: '/r', overlay: true }),
    senderArgs({ kind: 'listed', root: '/r', overlay: false, list: '/l' }),
    senderArgs({ kind: 'file', path: '/r' }),
  ]) {
    expect(args.slice(args.indexOf('--') + 1)).toHaveLength(2);
  }
});

test('notes of overlayfs that hold on the source only are left out of a raw layer, and only there', () => {
  const args = (overlay: boolean) =>
    senderArgs({ kind: 'whole', root: '/r', overlay }).filter((arg) => arg.includes('-x '));
  expect(args(true)).toContain('--filter=-x trusted.overlay.origin');
  expect(args(true)).not.toContain('--filter=-x trusted.overlay.opaque');
  expect(args(false)).toEqual([]);
});
