import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { applyIp } from '../tools/ip-network.ts';
import { takePlace } from './neighbours.ts';
import { forWorkload, makeStandIn, placeStandIn } from './stand-in.ts';
import { BRIDGE, CONTAINER, Rig } from './testing/rig.ts';

it('a copy that came home keeps its place, whatever its stand-in still says', async () => {
  await using rig = await Rig.make(['S']);
  await rig.container('W', 'S', CONTAINER);
  const run = rig.run('S');
  const addresses = await rig.addresses('W');
  const { mac = '', port = '' } = addresses[0] ?? {};
  const [standIn] = forWorkload('one', addresses);
  if (standIn === undefined) throw new Error('none');
  const place = async (): Promise<string | undefined> => {
    const { stdout } = await run('bridge', ['fdb', 'show', 'br', BRIDGE]);
    return new RegExp(`^${mac} dev (\\S+)`, 'm').exec(stdout)?.[1];
  };
  /** Kernels ask for a neighbour by broadcast. */
  const speak = async (): Promise<void> => {
    await applyIp(run, [['neighbour', 'replace', '169.254.231.6', 'dev', standIn.end, 'nud', 'none', 'use']]);
    await sleep(20);
  };

  await makeStandIn(run, standIn);
  await placeStandIn(run, standIn);
  expect(await place()).toBe(standIn.port);
  await takePlace(run, [{ mac, port }]);
  expect(await place()).toBe(port);
  await speak();
  expect(await place()).toBe(port);
});
