import { expect, test } from 'vitest';
import type { ContainerInspect, PortBinding } from '../../tools/docker-types.ts';
import { pinPorts } from './clone-ports.ts';

function at(HostIp: string, HostPort: string): PortBinding {
  return { HostIp, HostPort };
}

test.each<[string, PortBinding[], PortBinding[], PortBinding[]]>([
  ['fixed', [at('', '80')], [at('0.0.0.0', '80'), at('::', '80')], [at('', '80')]],
  ['chosen', [at('', '')], [at('0.0.0.0', '32768'), at('::', '32768')], [at('', '32768')]],
  ['chosen, IPv4 only', [at('', '')], [at('0.0.0.0', '32768')], [at('', '32768')]],
  [
    'chosen apart',
    [at('', '')],
    [at('0.0.0.0', '32769'), at('::', '32768')],
    [at('0.0.0.0', '32769'), at('::', '32768')],
  ],
  ['of a range', [at('127.0.0.1', '9000-9010')], [at('127.0.0.1', '9003')], [at('127.0.0.1', '9003')]],
  [
    'two chosen',
    [at('10.0.0.1', ''), at('10.0.0.1', '')],
    [at('10.0.0.1', '1'), at('10.0.0.1', '2')],
    [at('10.0.0.1', '1'), at('10.0.0.1', '2')],
  ],
  [
    'fixed and chosen',
    [at('', ''), at('', '80')],
    [at('0.0.0.0', '80'), at('0.0.0.0', '81')],
    [at('', '81'), at('', '80')],
  ],
  ['not running', [at('', '')], [], [at('', '')]],
])('%s', (_, bindings, actual, pinned) => {
  const inspect = {
    HostConfig: { PortBindings: { '1/tcp': bindings } },
    NetworkSettings: { Ports: { '1/tcp': actual } },
  };
  expect(pinPorts(inspect as unknown as ContainerInspect)).toEqual({ '1/tcp': pinned });
});

test('ports of --publish-all', () => {
  const Ports = { '80/tcp': [at('0.0.0.0', '32770'), at('::', '32770')], '81/udp': null };
  const HostConfig = { PortBindings: {}, PublishAllPorts: true };
  const pinned = pinPorts({ HostConfig, NetworkSettings: { Ports } } as unknown as ContainerInspect);
  expect(pinned).toEqual({ '80/tcp': [at('', '32770')], '81/udp': [at('', '')] });
});
