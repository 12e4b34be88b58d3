import { expect, test } from 'vitest';
import { DrayageError } from '../../errors.ts';
import { networksWithoutFixedAddresses } from './create-copy.ts';

// Recorded from Docker 26.1 and 28.5.
const ONE = `docker create: invalid config for network dc-a: invalid endpoint settings:
user specified IP address is supported only when connecting to networks with user configured subnets`;
const TWO = `docker create: invalid config for network dc-a: invalid endpoint settings:
no configured subnet or ip-range contain the IP address 10.0.0.1
invalid config for network dc-b: invalid endpoint settings:
user specified IP address is supported only when connecting to networks with user configured subnets`;

test.each([
  [ONE, ['dc-a']],
  [TWO, ['dc-b']],
  ['docker create: Conflict. The container name "/x" is already in use', []],
])('%j', (message, networks) => {
  expect(networksWithoutFixedAddresses(new DrayageError('DOCKER_REFUSED', message))).toEqual(networks);
});

test('anything else is not about networks', () => {
  expect(networksWithoutFixedAddresses(new Error(ONE))).toEqual([]);
});
