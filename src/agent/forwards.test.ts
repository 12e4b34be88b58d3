import { expect, it } from 'vitest';
import { yieldedBridges } from './forwards.ts';

const at = (bridge: string, address: string) => ({ address, bridge, subnet: '172.17.0.0/16', mac: '', peers: [] });
const addresses = [at('docker0', '172.17.0.2'), at('br-1', '172.30.0.10')];

it('addresses are yielded to containers that have them now, bridge by bridge, and stay so', () => {
  expect(yieldedBridges({ addresses }, [])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'docker0', address: '172.17.0.3' }])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'br-1', address: '172.17.0.2' }])).toEqual([]);
  expect(yieldedBridges({ addresses }, [{ bridge: 'docker0', address: '172.17.0.2' }])).toEqual(['docker0']);
  expect(yieldedBridges({ addresses, yielded: ['docker0'] }, [])).toEqual(['docker0']);
});
