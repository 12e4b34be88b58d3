import { expect, test } from 'vitest';
import type { HostFacts, WorkloadFacts } from '../../engines/facts.ts';
import { baseFor, blocking, targetFindings } from './check.ts';

const WORKLOAD = {
  ref: { engine: 'docker', name: 'dev' },
  state: 'running',
  image: { id: 'sha256:1', reference: 'debian:13' },
  networks: { front: { Name: 'front', Driver: 'bridge', Options: {} } },
} as unknown as WorkloadFacts;
const TARGET = { hostname: 'b', arch: 'x86_64', docker: { names: ['web'] } } as unknown as HostFacts;

function codesOf(workload: WorkloadFacts, target: HostFacts, start: boolean): string[] {
  return targetFindings(workload, target, { start, arch: 'x86_64' }).map(({ code }) => code);
}

test('what stands in the way, and what only with --start', () => {
  expect(codesOf(WORKLOAD, TARGET, true)).toEqual([]);
  expect(codesOf(WORKLOAD, { ...TARGET, docker: null }, true)).toEqual(['REPLAY_NO_DOCKER']);
  const named = { ...WORKLOAD, ref: { engine: 'docker' as const, name: 'web' } };
  expect(codesOf(named, TARGET, true)).toEqual(['REPLAY_NAME_TAKEN']);
  expect(codesOf(named, TARGET, false)).toEqual([]);
});

test('an address on the LAN is not given twice', () => {
  const networks = { lan: { Name: 'lan', Driver: 'macvlan', Options: { parent: 'eth0' } } };
  expect(codesOf({ ...WORKLOAD, networks }, TARGET, true)).toEqual(['REPLAY_ADDRESS_IN_USE']);
  expect(codesOf({ ...WORKLOAD, networks }, TARGET, false)).toEqual([]);
  expect(codesOf({ ...WORKLOAD, networks, state: 'exited' }, TARGET, true)).toEqual([]);
});

test('on another architecture the name of the image counts, and it costs', () => {
  const other = { ...TARGET, arch: 'aarch64' };
  expect(baseFor(WORKLOAD, TARGET, 'x86_64')).toBe('sha256:1');
  expect(baseFor(WORKLOAD, other, 'x86_64')).toBe('debian:13');
  const findings = targetFindings(WORKLOAD, other, { start: false, arch: 'x86_64' });
  expect(findings).toMatchObject([{ code: 'REPLAY_OTHER_ARCHITECTURE', severity: 'costs' }]);
  expect(blocking(findings)).toBeUndefined();
});
