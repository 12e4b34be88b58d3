import { describe, expect, it } from 'vitest';
import { goodHost, goodInspect, goodWorkload, OPTIONS } from '../../test/fixtures/facts.ts';
import type { WorkloadFacts } from '../engines/facts.ts';
import type { ContainerInspect } from '../tools/docker-types.ts';
import type { MigrateOptions } from './events.ts';
import type { ContainerFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { LIVE_ONLY } from './preflight/restart.ts';
import { FINDINGS } from './preflight.ts';
import { decide } from './strategy.ts';
import { RESTART_COSTS, tellRestart } from './tell-restart.ts';

type Spoil = (facts: ContainerFacts, inspect: ContainerInspect) => unknown;

function decided(options: Partial<MigrateOptions>, ...spoils: Spoil[]) {
  const inspect = goodInspect();
  const workload: WorkloadFacts = { ...goodWorkload(), inspect };
  const facts: ContainerFacts = { workload, source: goodHost('hosta'), target: goodHost('hostb') };
  for (const spoil of spoils) spoil(facts, inspect);
  return decide(facts, { ...OPTIONS, ...options });
}

const uring: Spoil = ({ workload }) => workload.processes[1]?.obstacles.push({ kind: 'io-uring', detail: 'fd 3' });
const connected: Spoil = ({ workload }) =>
  workload.processes[1]?.obstacles.push(
    { kind: 'tcp-established', detail: '10.0.0.1:80 to 10.0.0.2:1' },
    { kind: 'tcp-established', detail: '10.0.0.1:80 to 10.0.0.2:2' },
  );
const stopped: Spoil = ({ workload }) => Object.assign(workload, { state: 'exited', pid: 0, processes: [] });
const nameTaken: Spoil = ({ target }) => target.docker?.names.push('web');
const hostConfig =
  (some: Partial<ContainerInspect['HostConfig']>): Spoil =>
  (_, inspect) =>
    Object.assign(inspect.HostConfig, some);
const config =
  (some: Partial<ContainerInspect['Config']>): Spoil =>
  (_, inspect) =>
    Object.assign(inspect.Config, some);

function codes(findings: readonly Finding[], severity: Finding['severity']): string[] {
  return findings.filter((finding) => finding.severity === severity).map(({ code }) => code);
}

describe('decide', () => {
  it.each<[string, Partial<MigrateOptions>, Spoil[], { strategy: string; offers?: boolean; blocks?: string[] }]>([
    ['live where nothing speaks against it', {}, [], { strategy: 'live' }],
    ['live also where a restart is allowed', { allowRestart: true }, [], { strategy: 'live' }],
    ['offers a restart', {}, [uring], { strategy: 'live', offers: true, blocks: ['IO_URING'] }],
    ['takes a restart that is allowed', { allowRestart: true }, [uring], { strategy: 'restart' }],
    ['a stopped one', {}, [stopped], { strategy: 'live', offers: true, blocks: ['NOT_RUNNING'] }],
    [
      'offers none that would be refused',
      {},
      [uring, nameTaken],
      { strategy: 'live', blocks: ['IO_URING', 'NAME_TAKEN'] },
    ],
    [
      'live and nothing else',
      { strategy: 'live', allowRestart: true },
      [uring],
      { strategy: 'live', blocks: ['IO_URING'] },
    ],
    ['a restart that was asked for', { strategy: 'restart' }, [], { strategy: 'restart' }],
    [
      'a restart that is refused',
      { strategy: 'restart' },
      [nameTaken],
      { strategy: 'restart', blocks: ['NAME_TAKEN'] },
    ],
  ])('%s', (_, options, spoils, { strategy, offers = false, blocks = [] }) => {
    const decision = decided(options, ...spoils);
    expect(decision.strategy).toBe(strategy);
    expect(decision.restart !== undefined).toBe(offers);
    expect(codes(decision.findings, 'blocks')).toEqual(blocks);
  });

  it('tells why it does not move live', () => {
    const { findings } = decided({ allowRestart: true }, uring);
    expect(codes(findings, 'note')).toContain('IO_URING');
    expect(codes(findings, 'costs')).toEqual(['MEMORY_LOST']);
  });
});

describe('findings for a restart', () => {
  it.each<[string, Spoil, Finding['severity'], string]>([
    ['connections', connected, 'costs', 'CONNECTIONS_LOST'],
    ['a tmpfs', hostConfig({ Tmpfs: { '/scratch': '' } }), 'costs', 'TMPFS_LOST'],
    ['--rm', hostConfig({ AutoRemove: true }), 'blocks', 'REMOVED_BY_STOP'],
    ['the network of the host', hostConfig({ NetworkMode: 'host' }), 'costs', 'CLIENTS_NOT_FOLLOWED'],
    ['the pids of the host', hostConfig({ PidMode: 'host' }), 'costs', 'SHARES_WITH_HOST'],
    ['the network of a container', hostConfig({ NetworkMode: 'container:x' }), 'blocks', 'SHARED_CONTAINER'],
    ['GPUs', hostConfig({ DeviceRequests: [{}] }), 'costs', 'GPU'],
    [
      'a check that fails already',
      (_, inspect) => {
        inspect.Config.Healthcheck = { Test: ['CMD', 'x'] };
        inspect.State.Health = { Status: 'unhealthy' };
      },
      'costs',
      'UNHEALTHY_HERE',
    ],
    ['no check', () => {}, 'note', 'NO_HEALTHCHECK'],
    ['a stopped one', stopped, 'note', 'STAYS_STOPPED'],
    ['paused', ({ workload }) => (workload.state = 'paused'), 'blocks', 'PAUSED'],
    ['another architecture', ({ target }) => (target.arch = 'aarch64'), 'blocks', 'ARCH_DIFFERS'],
  ])('%s', (_, spoil, severity, code) => {
    const { findings } = decided({ strategy: 'restart' }, spoil);
    expect(codes(findings, severity)).toContain(code);
  });

  it.each<[string, Spoil]>([
    ['another processor', ({ target }) => (target.cpuFlags = [])],
    ['no CRIU', ({ source, target }) => Object.assign(source, { criu: null }) && Object.assign(target, { criu: null })],
    ['little memory for images', ({ source }) => (source.memoryAvailable = 0)],
    [
      '--rm of one that does not run',
      (facts, inspect) => [stopped(facts, inspect), hostConfig({ AutoRemove: true })(facts, inspect)],
    ],
  ])('does not mind %s', (_, spoil) => {
    expect(codes(decided({ strategy: 'restart' }, spoil).findings, 'blocks')).toEqual([]);
  });

  it('what it leaves out and what is agreed to are findings that there are', () => {
    for (const code of [...LIVE_ONLY, ...RESTART_COSTS]) expect(FINDINGS).toHaveProperty(code);
  });
});

describe('the plan of a restart', () => {
  const plan = (options: Partial<MigrateOptions>, ...spoils: Spoil[]) =>
    decided({ strategy: 'restart', ...options }, ...spoils).plan;

  it('tells what is lost, and how long it takes at most', () => {
    const { restart, memoryBytes, predictedOutageMs, strategy } = plan({}, connected);
    expect({ strategy, memoryBytes }).toEqual({ strategy: 'restart', memoryBytes: 0 });
    expect(restart?.lost).toEqual(['what it has in memory (100 MiB)', '2 open connections']);
    expect(restart?.stopMs).toBe(10_000);
    expect(predictedOutageMs).toBe(restart?.outageMs);
    expect(predictedOutageMs).toBeGreaterThan(13_000);
    expect(predictedOutageMs).toBeLessThan(16_000);
  });

  it('knows the patience of the container, and what tells that it is well', () => {
    const healthcheck = { Test: ['CMD', 'true'] };
    expect(plan({}, config({ StopTimeout: 60, Healthcheck: healthcheck })).restart).toMatchObject({
      stopMs: 60_000,
      healthy: 'healthcheck',
    });
    expect(plan({ healthyUrl: 'http://localhost/' }).restart?.healthy).toBe('url');
  });

  it('of one that does not run', () => {
    const stays = plan({}, stopped);
    expect(stays).toMatchObject({ predictedOutageMs: 0, restart: { lost: [], outageMs: 0 } });
    expect(tellRestart(stays)).toContain('stays stopped');
    expect(tellRestart(plan({}))).toMatch(/memory \(100 MiB\); it is away for about 5 s and .* 10 s at most/);
  });
});
