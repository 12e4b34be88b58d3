import { describe, expect, test } from 'vitest';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import { cloneEndpoint, withoutAddresses } from './clone-endpoint.ts';

const ID = '0123456789ab'.padEnd(64, 'c');

function clone(
  endpoint: object,
  { network = 'net', mac = '', isMain = true, api = '1.51', subnets = undefined as string[] | undefined } = {},
) {
  const full = {
    IPAddress: '10.0.0.5',
    GlobalIPv6Address: '',
    MacAddress: '02:42:0a:00:00:05',
    IPAMConfig: null,
    ...endpoint,
  };
  const inspect = { Id: ID, Config: { MacAddress: mac }, NetworkSettings: { Networks: { [network]: full } } };
  return cloneEndpoint(inspect as unknown as ContainerInspect, network, {
    isMain,
    isOwn: false,
    target: { api, subnets },
  });
}

describe('addresses', () => {
  test.each<[string, object, Parameters<typeof clone>[1], object | null]>([
    ['chosen by the engine', {}, {}, { IPv4Address: '10.0.0.5' }],
    ['IPv6 beside', { GlobalIPv6Address: 'fd00::5' }, {}, { IPv4Address: '10.0.0.5', IPv6Address: 'fd00::5' }],
    ['fixed, not running', { IPAddress: '', IPAMConfig: { IPv4Address: '10.0.0.9' } }, {}, { IPv4Address: '10.0.0.9' }],
    [
      'link-local kept',
      { IPAMConfig: { LinkLocalIPs: ['169.254.1.1'] } },
      {},
      { LinkLocalIPs: ['169.254.1.1'], IPv4Address: '10.0.0.5' },
    ],
    ['default bridge', {}, { network: 'bridge' }, null],
    ["the target's subnet holds it", {}, { subnets: ['fd00::/64', '10.0.0.0/24'] }, { IPv4Address: '10.0.0.5' }],
    ["the target's subnet does not", {}, { subnets: ['10.0.1.0/24'] }, null],
    ['only IPv6 fits', { GlobalIPv6Address: 'fd00::5' }, { subnets: ['fd00::/64'] }, { IPv6Address: 'fd00::5' }],
  ])('%s', (_, endpoint, options, expected) => {
    expect(clone(endpoint, options).IPAMConfig).toEqual(expected);
  });
});

describe('MAC address', () => {
  const derived = '02:42:0a:00:00:05';
  const random = '2e:11:22:33:44:55';
  test.each<[string, object, Parameters<typeof clone>[1], string | undefined]>([
    ['random', { MacAddress: random }, {}, random],
    ['random, on the default bridge', { MacAddress: random }, { network: 'bridge' }, random],
    ['made from the address, the target makes it again', {}, { api: '1.45' }, undefined],
    ['made from the address, the target would not', {}, { api: '1.48' }, derived],
    ['made from an address that is not kept', {}, { network: 'bridge' }, undefined],
    ['asked for, though it looks made', {}, { api: '1.45', mac: derived }, derived],
    ['not running', { MacAddress: '', IPAddress: '' }, {}, undefined],
  ])('%s', (_, endpoint, options, expected) => {
    expect(clone(endpoint, options).MacAddress).toBe(expected);
  });
});

test('the short id is no alias of the copy', () => {
  expect(clone({ Aliases: ['web', ID.slice(0, 12)] }).Aliases).toEqual(['web']);
  expect(clone({ Aliases: null }).Aliases).toBeNull();
});

test('what the engine refuses goes, and nothing else', () => {
  const fixed = { IPAMConfig: { IPv4Address: '10.0.0.5', LinkLocalIPs: ['169.254.1.1'] }, Aliases: ['x'] };
  const without = { IPAMConfig: { LinkLocalIPs: ['169.254.1.1'] }, Aliases: ['x'] };
  expect(withoutAddresses({ ...fixed, MacAddress: '02:42:0a:00:00:05' })).toEqual(without);
  expect(withoutAddresses({ ...fixed, MacAddress: '02:00:00:00:00:01' })).toEqual({
    ...without,
    MacAddress: '02:00:00:00:00:01',
  });
});
