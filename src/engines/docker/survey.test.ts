import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ContainerInspect, SystemInfo } from '../../tools/docker-types.ts';
import { foreignRuntime, runtimeRoot } from './survey.ts';

const { inspect } = JSON.parse(readFileSync(new URL('fixtures/28-everything.json', import.meta.url), 'utf8')) as {
  inspect: ContainerInspect;
};

test.each([
  ['/var/run/docker/netns/e35f46d5c597', '/run/docker/runtime-runc/moby'],
  ['/var/run/docker/netns/default', '/run/docker/runtime-runc/moby'],
  ['/srv/exec/netns/e35f46d5c597', '/srv/exec/runtime-runc/moby'],
  ['', '/run/docker/runtime-runc/moby'],
])('sandbox %s: runc keeps its state in %s', (SandboxKey, root) => {
  expect(runtimeRoot({ ...inspect, NetworkSettings: { ...inspect.NetworkSettings, SandboxKey } })).toBe(root);
});

test.each([
  ['runc', undefined],
  ['drayage', undefined],
  ['io.containerd.runc.v2', undefined],
  ['nvidia', '/usr/bin/nvidia-container-runtime'],
  ['kata', 'io.containerd.kata.v2'],
  ['io.containerd.runsc.v1', 'io.containerd.runsc.v1'],
])('runtime %s: foreign is %s', (Runtime, foreign) => {
  const Runtimes = {
    runc: { path: 'runc' },
    'io.containerd.runc.v2': { path: 'runc' },
    drayage: { path: '/usr/local/lib/drayage/shim/drayage-runc' },
    nvidia: { path: '/usr/bin/nvidia-container-runtime' },
    kata: { runtimeType: 'io.containerd.kata.v2' },
  };
  const container = { ...inspect, HostConfig: { ...inspect.HostConfig, Runtime } };
  expect(foreignRuntime(container, { Runtimes } as unknown as SystemInfo)).toBe(foreign);
});
