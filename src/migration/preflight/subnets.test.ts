import { expect, it } from 'vitest';
import { overlaps } from './subnets.ts';

it.each([
  ['10.0.0.0/8', '10.77.0.0/24', true],
  ['10.77.0.0/24', '10.77.1.0/24', false],
  ['10.77.0.0/24', '10.77.0.9/32', true],
  ['172.30.0.0/24', '172.30.0.0/24', true],
  ['fd00::/8', 'fd12:3456::/64', true],
  ['fd00::/8', '10.0.0.0/8', false],
  ['10.0.0.0/8', 'unreachable', false],
  ['10.0.0.0/99', '10.0.0.0/8', false],
])('%s and %s', (a, b, expected) => {
  expect(overlaps(a, b)).toBe(expected);
  expect(overlaps(b, a)).toBe(expected);
});
