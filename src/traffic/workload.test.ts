import { expect, it } from 'vitest';
import type { NetworkInspect } from '../tools/docker-types.ts';
import { peersOf } from './workload.ts';

it('neighbours are containers, but not the one that is meant, nor endpoints that have none yet', () => {
  const Containers = {
    c0ffee: { Name: 'web', IPv4Address: '172.30.0.10/24', MacAddress: '02:42:ac:1e:00:0a' },
    beef: { Name: 'db', IPv4Address: '172.30.0.11/24', IPv6Address: 'fd30::11/64', MacAddress: '02:42:ac:1e:00:0b' },
    'ep-93ab': { Name: 'web', IPv4Address: '172.30.0.10/24', IPv6Address: 'fd30::10/64', MacAddress: '' },
  };
  const network = { Containers } as unknown as NetworkInspect;
  expect(peersOf((id) => id === 'c0ffee', network)).toEqual(['172.30.0.11', 'fd30::11']);
});
