import { expect, test } from 'vitest';
import { goodHost, goodTraffic } from '../../../test/fixtures/facts.ts';
import type { HostFacts, ProcessTreeFacts } from '../../engines/facts.ts';
import type { DigestedFile } from '../../engines/process/compare-files.ts';
import type { MigrateOptions } from '../events.ts';
import { preflight } from '../preflight.ts';
import { TREE_FINDINGS } from './tree-findings.ts';

interface Facts {
  workload: ProcessTreeFacts;
  target: HostFacts;
  options: MigrateOptions;
}

/** One on a LAN. */
function lanHost(hostname: string, address: string): HostFacts {
  const mac = `02::${address.at(-1)}`;
  const addresses = [{ address, prefix: 24, scope: 'global' }];
  const eth0 = { index: 2, name: 'eth0', mac, mtu: 1500, up: true, kind: '', addresses };
  return { ...goodHost(hostname), traffic: { ...goodTraffic(), network: { devices: [eth0], routes: [] } } };
}

type Spoil = (facts: Facts) => unknown;

const FILE: DigestedFile = {
  ...{ path: '/usr/bin/prog', kind: 'file', bytes: 10, mode: 0o755, uid: 0, gid: 0, mtimeMs: 1, isWritten: false },
  sha256: '0'.repeat(64),
};

function good(): Facts {
  const target = lanHost('hostb', '10.0.0.2');
  return {
    workload: {
      ...{
        ref: { engine: 'process', name: '4711' },
        id: '4711-1',
        pid: 4711,
        taskIds: [4711],
        program: 'prog',
        command: 'prog',
      },
      ...{
        files: [structuredClone(FILE)],
        terminals: [],
        listening: [],
        limits: { cpus: 1 },
        foreign: [],
        outerPipes: [],
        memoryBytes: 1,
        cgroupPath: '',
      },
      processes: [{ pid: 4711, innerPid: 4711, name: 'prog', obstacles: [] }],
    },
    target: {
      ...target,
      tree: { files: ['same'], takenPids: [], missingPrograms: [], relayed: [], limitable: ['cpus'] },
    },
    options: {
      ...{ strategy: 'auto', allowRestart: false },
      ...{ remove: false, carryBinds: false, dropConnections: false, replaceFiles: false, dryRun: false },
      handover: 'forward',
    },
  };
}

function findings(...spoils: Spoil[]) {
  const facts = good();
  for (const spoil of spoils) spoil(facts);
  const { options, ...surveyed } = facts;
  return preflight({ ...surveyed, source: { ...lanHost('hosta', '10.0.0.1'), docker: null } }, options);
}

const terminal =
  (path: string): Spoil =>
  ({ workload }) =>
    workload.terminals.push({ path, id: 'tty[8800:1]', isLed: false });
const tree =
  (has: Partial<NonNullable<HostFacts['tree']>>): Spoil =>
  ({ target }) =>
    Object.assign(target.tree ?? {}, has);
const pipe =
  (isStandard: boolean): Spoil =>
  ({ workload }) =>
    workload.outerPipes.push({ pipe: 'pipe:[1]', with: 'process 2 (sshd)', isStandard });
const inNamespace: Spoil = ({ options }) => Object.assign(options, { pidNamespace: true });
const inPrivate: Spoil = ({ options }) => Object.assign(options, { privateRoot: true });
const inService: Spoil = ({ workload }) =>
  Object.assign(workload, { restarter: { by: 'systemd', unit: 'web.service', policy: 'always' } });
const supervised: Spoil = ({ workload }) => Object.assign(workload, { restarter: { by: 'parent', name: 'runsv' } });
const snapshot: Spoil = ({ options }) => Object.assign(options, { leaveRunning: true });
const listens = ({ workload }: Facts) => workload.listening.push('tcp/0.0.0.0:80');
const uses =
  (endpoint: string): Spoil =>
  ({ target }) =>
    target.listening.push(endpoint);

test('nothing speaks against a good case, and neither host needs Docker', () => {
  expect(findings(({ target }) => Object.assign(target, { docker: null, runc: null }))).toEqual([]);
});

const CASES: Record<keyof typeof TREE_FINDINGS, { raised: Spoil[][]; not: Spoil[][] }> = {
  FOREIGN_NAMESPACE: { raised: [[({ workload }) => workload.foreign.push('net')]], not: [] },
  RESTARTED_BY_SYSTEMD: { raised: [[inService]], not: [[inService, snapshot], [supervised]] },
  SUPERVISED: { raised: [[supervised]], not: [[supervised, snapshot], [inService]] },
  OUTSIDE_PIPE: { raised: [[pipe(true)]], not: [[pipe(false)]] },
  INHERITED_PIPE: { raised: [[pipe(false)]], not: [[pipe(true)]] },
  SEVERAL_TERMINALS: { raised: [[terminal('/dev/pts/1'), terminal('/dev/pts/2')]], not: [[terminal('/dev/pts/1')]] },
  TERMINAL_MOVES: { raised: [[terminal('/dev/pts/1')]], not: [] },
  SCRIPT_MISSING: {
    raised: [[terminal('/dev/pts/1'), tree({ missingPrograms: ['script'] })]],
    not: [[terminal('/dev/pts/1')]],
  },
  NOT_BY_RESTART: {
    raised: [[({ options }) => Object.assign(options, { strategy: 'restart' })]],
    not: [[({ options }) => Object.assign(options, { allowRestart: true })]],
  },
  FILES_DIFFER: {
    raised: [[tree({ files: ['differs'] })]],
    not: [
      [tree({ files: ['left'] })],
      [tree({ files: ['differs'] }), ({ options }) => Object.assign(options, { replaceFiles: true })],
      [tree({ files: ['differs'] }), inPrivate],
    ],
  },
  PRIVATE_ROOT: { raised: [[inPrivate]], not: [[tree({ files: ['differs'] })]] },
  FILES_REPLACED: {
    raised: [[tree({ files: ['differs'] }), ({ options }) => Object.assign(options, { replaceFiles: true })]],
    not: [[tree({ files: ['left'] })]],
  },
  FILES_CARRIED: { raised: [[tree({ files: ['missing'] })]], not: [[tree({ files: ['differs'] })]] },
  PIDS_TAKEN: { raised: [[tree({ takenPids: [4711] })]], not: [[tree({ takenPids: [4711] }), inNamespace]] },
  PID_NAMESPACE: { raised: [[inNamespace]], not: [[tree({ takenPids: [4711] })]] },
  PORT_IN_USE: {
    raised: [
      [listens, uses('tcp/127.0.0.1:80')],
      [listens, uses('tcp/[::]:80')],
    ],
    not: [
      [listens, uses('tcp/0.0.0.0:80'), tree({ relayed: ['tcp/0.0.0.0:80'] })],
      [listens, uses('udp/0.0.0.0:80')],
      [listens, uses('tcp/0.0.0.0:81')],
      [uses('tcp/0.0.0.0:80')],
    ],
  },
  LIMITS_LOST: {
    raised: [[({ workload }) => (workload.limits.memoryBytes = 1 << 20)], [tree({ limitable: [] })]],
    not: [],
  },
  LISTENERS_MOVE: {
    raised: [
      [({ workload }) => workload.listening.push('udp/0.0.0.0:53')],
      [({ workload }) => workload.listening.push('tcp/127.0.0.1:80')],
      [listens, ({ options }) => Object.assign(options, { handover: 'none' })],
    ],
    not: [[listens]],
  },
  LISTENERS_RELAYED: {
    raised: [[listens]],
    not: [[listens, ({ options }) => Object.assign(options, { handover: 'none' })]],
  },
};

test.each(Object.entries(CASES))('%s', (code, { raised, not }) => {
  for (const spoils of raised) expect(findings(...spoils).map((finding) => finding.code)).toContain(code);
  for (const spoils of [[], ...not]) expect(findings(...spoils).map((finding) => finding.code)).not.toContain(code);
  const severities = raised.flatMap((spoils) => findings(...spoils)).filter((finding) => finding.code === code);
  for (const { severity } of severities)
    expect(severity).toBe(TREE_FINDINGS[code as keyof typeof TREE_FINDINGS].severity);
});

const connected =
  (detail: string): Spoil =>
  ({ workload }) =>
    workload.processes[0]?.obstacles.push({ kind: 'tcp-established', detail });

test('connections block, those within the tree do not', () => {
  const outside = connected('10.0.0.1:80 to 10.0.0.9:5000');
  expect(findings(outside)).toMatchObject([{ code: 'TCP_ESTABLISHED', severity: 'blocks' }]);
  const drop: Spoil = ({ options }) => Object.assign(options, { dropConnections: true });
  expect(findings(outside, drop)).toMatchObject([{ code: 'TCP_ESTABLISHED', severity: 'costs' }]);
  expect(findings(connected('127.0.0.1:80 to 127.0.0.1:81'), connected('127.0.0.1:81 to 127.0.0.1:80'))).toEqual([]);
});
