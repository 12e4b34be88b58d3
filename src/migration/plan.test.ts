import fc from 'fast-check';
import { expect, it } from 'vitest';
import { goodHost, goodTraffic, goodWorkload, OPTIONS } from '../../test/fixtures/facts.ts';
import { chainIds } from '../engines/docker/layers.ts';
import type { HostFacts, WorkloadFacts } from '../engines/facts.ts';
import type { Way } from '../traffic/way.ts';
import { carriedTrees, makePlan, type Plan } from './plan.ts';

const MIB = 1 << 20;
const BIND = { key: 'bind:/mnt', kind: 'bind', path: '/srv/web', bytes: 5 * MIB, entries: 9 } as const;

function plan(
  change: (workload: WorkloadFacts, docker: NonNullable<HostFacts['docker']>) => unknown = () => {},
  carryBinds = false,
): Plan {
  const [workload, target] = [goodWorkload(), goodHost('hostb')];
  if (target.docker !== null) change(workload, target.docker);
  return makePlan({ workload, source: goodHost('hosta'), target }, { ...OPTIONS, carryBinds });
}

it('carries everything to a host that has nothing of it', () => {
  expect(plan()).toMatchObject({
    strategy: 'stop-copy',
    image: { missingLayers: ['sha256:aaaa', 'sha256:bbbb', 'sha256:cccc'], bytes: 90 * MIB },
    networksToCreate: ['shop'],
    addressesToMove: [],
    volumesToCreate: ['data'],
    memoryBytes: 100 * MIB,
    predictedBytes: (90 + 11 + 100) * MIB,
  });
});

it('sends the layers that the target lacks, and none where it has the image', () => {
  const { layers } = goodWorkload().image;
  const some = plan((_, docker) => docker.layers.push(...chainIds(layers).slice(0, 2)));
  expect(some.image).toEqual({ missingLayers: ['sha256:cccc'], bytes: 30 * MIB });
  const all = plan((_, docker) => docker.images.push({ id: 'sha256:1111', tags: [] }));
  expect(all.image).toEqual({ missingLayers: [], bytes: 0 });
});

it('makes only what is not there', () => {
  const there = plan((_, docker) => {
    docker.networks.push({
      name: 'shop',
      id: '1',
      driver: 'bridge',
      subnets: ['172.30.0.0/24'],
      containers: 0,
      addresses: {},
    });
    docker.volumes.push('data');
  });
  expect(there).toMatchObject({ networksToCreate: [], volumesToCreate: [] });
});

it('carries bind mounts only when asked to, and never what belongs to a host', () => {
  const keys = ({ trees }: Plan): string[] => trees.map(({ key }) => key);
  expect(keys(plan((workload) => workload.files.push(BIND)))).toEqual(['upper', 'volume:data']);
  expect(keys(plan((workload) => workload.files.push(BIND), true))).toEqual(['upper', 'volume:data', 'bind:/mnt']);
  expect(carriedTrees([BIND], { carryBinds: true })).toEqual([BIND]);
  for (const path of ['/', '/etc/hosts', '/var/run/docker.sock', '/usr/lib']) {
    expect(keys(plan((workload) => workload.files.push({ ...BIND, path }), true))).toEqual(['upper', 'volume:data']);
  }
});

it('predicts a longer outage for more memory and more files, and never less than what is fixed', () => {
  const outage = (memoryBytes: number, entries: number): number =>
    plan((workload) => {
      workload.memoryBytes = memoryBytes;
      workload.files = [{ ...BIND, kind: 'upper', entries }];
    }).predictedOutageMs;
  expect(outage(0, 0)).toBe(300);
  expect(outage(1.1e9, 0)).toBe(300 + 1000 + 733);
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.nat(1e7), fc.nat(2 ** 30), (memory, entries, more) => {
      expect(outage(memory + more, entries)).toBeGreaterThanOrEqual(outage(memory, entries));
      expect(outage(memory, entries + more)).toBeGreaterThanOrEqual(outage(memory, entries));
    }),
  );
});

it('tells whether packets wait or are dropped during the pause, and how they get to the target', () => {
  const traffic = (queueRefused: string | null, way?: Way, handover: 'auto' | 'none' = 'auto') => {
    const source = { ...goodHost('hosta'), traffic: { ...goodTraffic(), queueRefused } };
    const exploration = { answered: [], ...(way && { way }) };
    const facts = { workload: goodWorkload(), source, target: goodHost('hostb'), exploration };
    return makePlan(facts, { ...OPTIONS, handover }).traffic;
  };
  const hop = { device: 'eth0', via: {} };
  const plain: Way = { hop: { source: hop, target: hop } };
  const wrapped = { ...plain, tunnel: {} } as Way;
  expect(traffic(null, plain)).toEqual({ pause: 'queue', way: 'plain' });
  expect(traffic('no tbf', plain)).toEqual({ pause: 'drop', way: 'plain' });
  expect(traffic(null, wrapped)).toEqual({ pause: 'queue', way: 'tunnel' });
  expect(traffic(null)).toBeUndefined();
  expect(traffic(null, plain, 'none')).toBeUndefined();
});
