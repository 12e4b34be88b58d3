import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ContainerInspect } from '../../tools/docker-types.ts';
import type { HostFacts, WorkloadFacts } from '../facts.ts';
import { cloneSpec, RUNTIME } from './clone.ts';
import { differences } from './compare.ts';
import { DIFFERS } from './differs.ts';

const RECORDED = ['26-everything', '26-bridge', '26-chosen', '28-everything', '28-cleared', '28-host', '28-volumes'];

function recorded(name: string): WorkloadFacts & { inspect: ContainerInspect } {
  const facts = readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8');
  return { ...JSON.parse(facts), processes: [], memoryBytes: 0 };
}

function target(docker: Partial<NonNullable<HostFacts['docker']>> = {}): HostFacts {
  return { docker: { api: '1.51', images: [], networks: [], volumes: [], ...docker } } as unknown as HostFacts;
}

function clone(facts: WorkloadFacts, host = target()) {
  return cloneSpec(facts, host, { carryBinds: false });
}

describe.each(RECORDED)('the copy of %s', (name) => {
  const facts = recorded(name);
  const spec = clone(facts);
  const { HostConfig, NetworkingConfig, ...Config } = spec.createBody;

  test('is configured as the original, but for what is named', () => {
    const { RestartPolicy, ...hostConfig } = HostConfig;
    const { RestartPolicy: policy, ...original } = facts.inspect.HostConfig;
    const configured = { Config: facts.inspect.Config, HostConfig: original };
    // These are said in another way, to the same effect.
    const encoded = [{ path: 'Config.Entrypoint' }, { path: 'Config.MacAddress' }, { path: 'Config.Hostname' }];
    expect(differences(configured, { Config, HostConfig: hostConfig }, [...DIFFERS, ...encoded])).toEqual([]);
    expect(RestartPolicy).toEqual({ Name: 'no', MaximumRetryCount: 0 });
    expect(spec.restartPolicy).toEqual(policy);
    expect(HostConfig.Runtime).toBe(RUNTIME);
  });

  test('mounts what the original mounts, each volume by its name', () => {
    const sources = [
      ...(HostConfig.Binds ?? []).map((bind) => bind.split(':').slice(0, 2)),
      ...(HostConfig.Mounts ?? []).map(({ Source, Target }) => [Source, Target]),
    ];
    const mounted = facts.inspect.Mounts.filter(({ Type }) => Type !== 'tmpfs');
    for (const { Name, Source, Destination } of mounted) expect(sources).toContainEqual([Name ?? Source, Destination]);
    const names = mounted.flatMap(({ Name }) => Name ?? []);
    expect(spec.volumes.map((volume) => volume.Name).sort()).toEqual([...new Set(names)].sort());
  });

  test('has all its endpoints, with the addresses of user-defined networks', () => {
    const endpoints = NetworkingConfig?.EndpointsConfig ?? {};
    for (const [network, { IPAddress, GlobalIPv6Address }] of Object.entries(facts.inspect.NetworkSettings.Networks)) {
      if (network === 'host' || network === 'none') expect(endpoints[network]).toBeUndefined();
      else if (network === 'bridge') expect(endpoints[network]?.IPAMConfig).toBeNull();
      else {
        expect(endpoints[network]?.IPAMConfig?.IPv4Address).toBe(IPAddress);
        expect(endpoints[network]?.IPAMConfig?.IPv6Address ?? '').toBe(GlobalIPv6Address);
      }
    }
    expect(spec.moreEndpoints).toEqual([]);
  });
});

test('only what the target lacks is made there', () => {
  const facts = recorded('26-everything');
  const network = {
    name: 'dc-fixed',
    id: 'x',
    driver: 'bridge',
    subnets: ['172.31.77.0/24'],
    containers: 0,
    addresses: {},
  };
  const spec = clone(facts, target({ networks: [network], volumes: ['dc-named'] }));
  expect(
    clone(facts)
      .networks.map(({ Name }) => Name)
      .sort(),
  ).toEqual(['dc-chosen6', 'dc-fixed']);
  expect(spec.networks.map(({ Name }) => Name)).toEqual(['dc-chosen6']);
  expect(spec.volumes.map(({ Name }) => Name)).not.toContain('dc-named');
  expect(clone(facts).networks.find(({ Name }) => Name === 'dc-fixed')).toMatchObject({
    Driver: 'bridge',
    IPAM: { Config: [{ Subnet: '172.31.77.0/24', IPRange: '172.31.77.128/25', Gateway: '172.31.77.1' }] },
    Labels: { n: '1' },
  });
});

test('an engine before API 1.44 gets the other endpoints one by one, and the MAC address with the container', () => {
  const spec = clone(recorded('26-everything'), target({ api: '1.43' }));
  expect(Object.keys(spec.createBody.NetworkingConfig?.EndpointsConfig ?? {})).toEqual(['dc-fixed']);
  expect(spec.moreEndpoints.map(({ network }) => network)).toEqual(['dc-chosen6']);
  expect(spec.createBody.MacAddress).toBe('02:42:0a:00:00:07');
  expect(clone(recorded('26-everything')).createBody.MacAddress).toBeUndefined();
});

test('a network mode that is an id of the source becomes the name', () => {
  const facts = recorded('26-chosen');
  facts.inspect.HostConfig.NetworkMode = (facts.networks['dc-chosen'] as { Id: string }).Id;
  expect(clone(facts).createBody.HostConfig.NetworkMode).toBe('dc-chosen');
  facts.inspect.HostConfig.NetworkMode = 'default';
  expect(clone(facts).createBody.HostConfig.NetworkMode).toBe('bridge');
});

test('what the engine refuses because it filled it in itself is left out', () => {
  const facts = recorded('26-bridge');
  expect(clone(recorded('28-host')).createBody.Hostname).toBeUndefined();
  facts.inspect.HostConfig.NetworkMode = `container:${'a'.repeat(64)}`;
  const { createBody } = clone(facts);
  expect(createBody.Hostname).toBeUndefined();
  expect(createBody.ExposedPorts).toBeUndefined();
});

test('a cleared entrypoint stays cleared', () => {
  expect(recorded('28-cleared').inspect.Config.Entrypoint).toBeNull();
  expect(clone(recorded('28-cleared')).createBody.Entrypoint).toEqual(['']);
});

test('bind mounts name what must be on the target', () => {
  const paths = cloneSpec(recorded('28-everything'), target(), { carryBinds: true }).bindSources;
  expect(new Set(paths.map(({ path }) => path))).toEqual(new Set(['/srv/dc', '/srv/dc/file']));
  expect(paths.every(({ carried }) => carried)).toBe(true);
});
