import { expect, it } from 'vitest';
import { givenPorts, yieldedBridges } from './forwards.ts';

const at = (bridge: string, address: string) => ({ address, bridge, subnet: '172.17.0.0/16', mac: '', peers: [] });
const addresses = [at('docker0', '172.17.0.2'), at('br-1', '172.30.0.10')];

it('addresses are yielded to containers that have them now, bridge by bridge, and stay so', () => {
  expect(yieldedBridges({ addresses }, [])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'docker0', address: '172.17.0.3' }])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'br-1', address: '172.17.0.2' }])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'docker0', address: '172.17.0.2' }])).toEqual(['docker0']);
  expect(yieldedBridges({ addresses, yielded: ['docker0'] }, [])).toEqual(['docker0']);
});

it.each([
  ['the same', { protocol: 'tcp', hostPort: 8080 }, true],
  ['by one address only', { protocol: 'tcp', hostAddress: '10.0.0.2', hostPort: 8080 }, true],
  ['another', { protocol: 'tcp', hostPort: 8082 }, false],
  ['of another protocol', { protocol: 'udp', hostPort: 8080 }, false],
  ['forwarded at an address, taken at all', { protocol: 'tcp', hostPort: 8081 }, true],
  ['forwarded at an address, taken at another', { protocol: 'tcp', hostAddress: '10.0.0.3', hostPort: 8081 }, false],
] as const)('ports are given to containers that publish them now: %s', (_, taken, isGiven) => {
  const published = [
    { protocol: 'tcp', hostPort: 8080, address: '172.30.0.10', port: 80 },
    { protocol: 'tcp', hostAddress: '10.0.0.2', hostPort: 8081, address: '172.30.0.10', port: 80 },
  ] as const;
  expect(givenPorts({ published }, [taken])).toEqual(isGiven ? [taken] : []);
});
