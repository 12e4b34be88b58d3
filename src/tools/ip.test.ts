import { expect, it } from 'vitest';
import { parseRoutes } from './ip.ts';

it('parseRoutes takes subnets and single hosts, and leaves out what every host has', () => {
  const v4 = JSON.stringify([
    { dst: 'default', gateway: '10.77.0.254', dev: 'eth0', flags: [] },
    { dst: '10.77.0.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '10.77.0.1', flags: [] },
    { dst: '172.30.0.10', via: '10.77.0.2', dev: 'eth0', flags: [] },
    { dst: '169.254.0.0/16', dev: 'eth0', flags: [] },
  ]);
  const v6 = JSON.stringify([
    { dst: 'fd00:1::/64', dev: 'eth0', flags: [] },
    { dst: 'fe80::/64', dev: 'eth0', flags: [] },
    { dst: '::1', dev: 'lo', flags: [] },
  ]);
  expect(parseRoutes([v4, v6])).toEqual(['10.77.0.0/24', '172.30.0.10/32', 'fd00:1::/64']);
});

it('parseRoutes takes the empty answer of a host without IPv6', () => {
  expect(parseRoutes(['', '[]'])).toEqual([]);
});
