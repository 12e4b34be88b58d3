import { expect, it } from 'vitest';
import { compareVersions, release } from './versions.ts';

it.each([
  ['4.1.1', '4.2', -1],
  ['4.2', '4.2.0', 0],
  ['4.10', '4.9', 1],
  ['26.1.5+dfsg1', '26.1.5', 0],
  ['v5.0-rc1', '4.2.1', 1],
  ['6.18.44-fc-v669', '6.16', 1],
  ['', '0', 0],
])('%s against %s', (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign);
  expect(Math.sign(compareVersions(b, a))).toBe(sign === 0 ? 0 : -sign);
});

it('release', () => {
  expect(release('6.18.44-cloud-amd64')).toBe('6.18');
});
