import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  goodHost,
  goodInspect,
  goodTraffic,
  goodWorkload,
  network,
  OPTIONS,
  volume,
} from '../../test/fixtures/facts.ts';
import type { HostFacts, ObstacleKind, WorkloadFacts } from '../engines/facts.ts';
import type { ContainerInspect, MountPoint } from '../tools/docker-types.ts';
import type { MigrateOptions } from './events.ts';
import type { Exploration } from './explore.ts';
import type { Finding } from './finding.ts';
import type { ADDRESS_FINDINGS } from './preflight/own-addresses.ts';
import type { TRAFFIC_FINDINGS } from './preflight/traffic.ts';
import { FINDINGS, type FindingCode, preflight, sourceHindrances } from './preflight.ts';

/** Everything that a case may spoil. */
interface Facts {
  workload: WorkloadFacts;
  inspect: ContainerInspect;
  hostConfig: ContainerInspect['HostConfig'];
  source: HostFacts;
  target: HostFacts;
  exploration: Exploration;
  options: MigrateOptions;
  /** Docker of the target. */
  docker: NonNullable<HostFacts['docker']>;
  sourceDocker: NonNullable<HostFacts['docker']>;
}
type Spoil = (facts: Facts) => unknown;

function find(...spoils: Spoil[]): Finding[] {
  const inspect = goodInspect();
  const [source, target] = [goodHost('hosta'), goodHost('hostb')];
  if (source.docker === null || target.docker === null) throw new Error('hosts have Docker');
  const workload = { ...goodWorkload(), inspect };
  const facts: Facts = {
    workload,
    inspect,
    hostConfig: inspect.HostConfig,
    source,
    target,
    exploration: { answered: [] },
    options: { ...OPTIONS },
    docker: target.docker,
    sourceDocker: source.docker,
  };
  for (const spoil of spoils) spoil(facts);
  return preflight({ workload, source, target, exploration: facts.exploration }, facts.options);
}

const obstacle =
  (kind: ObstacleKind, detail = 'x'): Spoil =>
  ({ workload }) =>
    workload.processes[1]?.obstacles.push({ kind, detail });

const mount =
  (Source: string, more: Partial<MountPoint> = {}): Spoil =>
  ({ inspect }) =>
    inspect.Mounts.push({
      Type: 'bind',
      Source,
      Destination: '/mnt',
      Mode: '',
      RW: true,
      Propagation: 'rprivate',
      ...more,
    });

const both =
  (spoil: (host: HostFacts) => unknown): Spoil =>
  ({ source, target }) => {
    spoil(source);
    spoil(target);
  };

const criu =
  (version: string, check = 'ok') =>
  (host: HostFacts): void => {
    host.criu = { version, check, path: '/usr/sbin/criu' };
  };

const carryBinds: Spoil = ({ options }) => Object.assign(options, { carryBinds: true });
const dropConnections: Spoil = ({ options }) => Object.assign(options, { dropConnections: true });
const onDefaultBridge: Spoil = ({ inspect, workload }) => {
  const { shop } = inspect.NetworkSettings.Networks;
  if (shop !== undefined) inspect.NetworkSettings.Networks = { bridge: { ...shop, IPAddress: '172.17.0.2' } };
  workload.networks = {};
};
const hostConfig =
  (some: Record<string, unknown>): Spoil =>
  (facts) =>
    Object.assign(facts.hostConfig, some);

const without =
  (tool: string) =>
  ({ target }: Pick<Facts, 'target'>): void => {
    target.tools[tool] = false;
  };

const trafficAt = (network: string): NonNullable<WorkloadFacts['traffic']> => ({
  ...{ published: [], own: [], clients: [], servers: [] },
  addresses: [
    { address: '172.30.0.2', subnet: '172.30.0.0/24', mac: '', bridge: 'br-1', network, peers: [], port: 'veth1' },
  ],
});
const onNetwork: Spoil = ({ workload }) => (workload.traffic = trafficAt('shop'));
const inUseBy =
  (container: string): Spoil =>
  ({ docker }) => {
    const common = { id: '1', driver: 'bridge', subnets: ['172.30.0.0/24'], containers: 1 };
    docker.networks.push({ ...common, name: 'shop', addresses: { '172.30.0.2': container } });
  };
const hasAddress: Spoil = (facts) => {
  onNetwork(facts);
  facts.target.traffic = goodTraffic();
  facts.target.traffic.network.devices.push({
    ...{ index: 9, name: 'br-1', mac: '', mtu: 1500, up: true, kind: 'bridge' },
    addresses: [{ address: '172.30.0.2', prefix: 24, scope: 'global' }],
  });
};

const publishedAt = (HostIp: string) => hostConfig({ PortBindings: { '6379/tcp': [{ HostIp, HostPort: '6379' }] } });
const macvlan = (options: Record<string, string> = {}) => ({
  ...network('lan', '10.5.0.0/24', 'macvlan'),
  Options: { parent: 'eth0', ...options },
});

/** For every code: what raises it, each by itself; and what comes near but does not. */
/** Those of traffic and of addresses of its own have tests of their own. */
type Code = Exclude<FindingCode, keyof typeof TRAFFIC_FINDINGS | keyof typeof ADDRESS_FINDINGS>;
const CASES: Record<Code, { raised: Spoil[]; not?: Spoil[] }> = {
  NOT_RUNNING: {
    raised: (['exited', 'created', 'dead'] as const).map(
      (state) =>
        ({ workload }) =>
          (workload.state = state),
    ),
  },
  PAUSED: { raised: [({ workload }) => (workload.state = 'paused')] },
  RESTARTING: { raised: [({ workload }) => (workload.state = 'restarting')] },
  FOREIGN_RUNTIME: { raised: [({ workload }) => (workload.foreignRuntime = '/usr/bin/runsc')] },
  SHARED_NAMESPACE: {
    raised: [
      hostConfig({ NetworkMode: 'host' }),
      hostConfig({ PidMode: 'host' }),
      hostConfig({ IpcMode: 'host' }),
      hostConfig({ IpcMode: 'container:0123' }),
      hostConfig({ NetworkMode: 'container:0123' }),
    ],
    not: [hostConfig({ IpcMode: 'shareable' }), hostConfig({ NetworkMode: 'none' }), hostConfig({ UTSMode: 'host' })],
  },
  LEGACY_LINKS: { raised: [hostConfig({ Links: ['/db:/web/db'] })], not: [hostConfig({ Links: [] })] },
  GPU: { raised: [hostConfig({ DeviceRequests: [{ Driver: '', Count: -1, Capabilities: [['gpu']] }] })] },
  CONFIGURED_DEVICE: { raised: [hostConfig({ Devices: [{ PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse' }] })] },
  PRIVILEGED: { raised: [hostConfig({ Privileged: true })] },
  SHAREABLE_SHM: { raised: [hostConfig({ IpcMode: 'shareable' })], not: [hostConfig({ IpcMode: 'none' })] },
  EXEC_SESSIONS: {
    raised: [({ inspect }) => Object.assign(inspect, { ExecIDs: ['a32d'] })],
    not: [({ inspect }) => Object.assign(inspect, { ExecIDs: [] })],
  },
  LOG_HISTORY_STAYS: {
    raised: [hostConfig({ LogConfig: { Type: 'journald', Config: {} } })],
    not: [
      hostConfig({ LogConfig: { Type: 'local', Config: {} } }),
      hostConfig({ LogConfig: { Type: 'none', Config: {} } }),
    ],
  },
  AUTO_REMOVE: { raised: [hostConfig({ AutoRemove: true })] },
  RESTART_POLICY: {
    raised: [hostConfig({ RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } })],
    not: [hostConfig({ RestartPolicy: { Name: '', MaximumRetryCount: 0 } })],
  },
  ADDRESS_CHANGES: { raised: [onDefaultBridge] },

  IO_URING: { raised: [obstacle('io-uring')] },
  MPTCP: { raised: [obstacle('mptcp')] },
  TCP_ESTABLISHED: { raised: [obstacle('tcp-established')] },
  LISTEN_BACKLOG: { raised: [obstacle('listen-backlog')] },
  SCTP: { raised: [obstacle('sctp')] },
  UNSUPPORTED_SOCKET: { raised: [obstacle('unsupported-socket')] },
  OUTSIDE_UNIX_SOCKET: { raised: [obstacle('outside-unix-socket')] },
  OPEN_DEVICE: { raised: [obstacle('device')] },
  UNSUPPORTED_DESCRIPTOR: { raised: [obstacle('unsupported-fd')] },
  FILE_LOCKS: { raised: [obstacle('file-lock')] },
  LARGE_DELETED_FILE: { raised: [obstacle('large-deleted-file')] },
  TRACED: { raised: [obstacle('traced')] },
  SYSV_HOST_IPC: { raised: [obstacle('sysv-host-ipc')] },
  NESTED_NAMESPACE: { raised: [obstacle('nested-pidns'), obstacle('nested-mntns'), obstacle('nested-userns')] },
  SESSION_OUTSIDE: { raised: [obstacle('session-outside')] },
  INOTIFY_UNRESOLVABLE: { raised: [obstacle('inotify-unresolvable')], not: [obstacle('inotify-path', '/etc')] },
  NETWORK_FS: {
    raised: [obstacle('network-fs', 'nfs4 on /mnt/share')],
    // The engine mounted that one, and will do so again.
    not: [obstacle('network-fs', 'nfs4 on /data')],
  },
  SYSTEMD: { raised: [obstacle('systemd')] },
  FOREIGN_LIMITS: { raised: [obstacle('foreign-limits')] },
  BOUND_ADDRESS: {
    raised: [
      obstacle('bound-address', 'tcp 10.99.0.1:80'),
      (facts) => {
        onDefaultBridge(facts);
        obstacle('bound-address', 'tcp 172.17.0.2:80')(facts);
      },
    ],
    not: [
      obstacle('bound-address', 'tcp 172.30.0.2:80'),
      obstacle('bound-address', 'udp 224.0.0.251:5353'),
      obstacle('bound-address', 'udp [ff02::fb]:5353'),
    ],
  },

  BIND_MOUNT: {
    raised: [mount('/srv/web'), mount('/etc/nginx'), mount('/home/me/site', { RW: false })],
    not: [(facts) => [mount('/srv/web')(facts), carryBinds(facts)]],
  },
  BIND_CARRIED: { raised: [(facts) => [mount('/srv/web')(facts), carryBinds(facts)]], not: [carryBinds] },
  BIND_SPECIAL: {
    raised: [
      mount('/var/run/docker.sock'),
      mount('/srv/app.sock'),
      mount('/dev/snd'),
      (facts) => [mount('/run/docker.sock')(facts), carryBinds(facts)],
    ],
    not: [mount('/srv/development')],
  },
  BIND_SYSTEM: {
    raised: [
      mount('/'),
      mount('/etc/'),
      mount('/usr/lib'),
      mount('/usr/bin/env'),
      mount('/var/lib/docker/volumes'),
      mount('/home'),
    ],
    not: [mount('/home/me'), mount('/etc/nginx'), mount('/usr/local/share/x'), mount('/usr/bin/env', { RW: false })],
  },
  BIND_HOST_FILE: { raised: [mount('/etc/localtime'), mount('/lib/modules', { RW: false })] },
  MOUNT_TYPE: {
    raised: [mount('', { Type: 'image' }), mount('', { Type: 'cluster' })],
    not: [mount('', { Type: 'tmpfs' })],
  },

  NO_ROOT: { raised: [({ source }) => (source.root = false), ({ target }) => (target.root = false)] },
  CRIU_MISSING: { raised: [({ source }) => (source.criu = null), ({ target }) => (target.criu = null)] },
  CRIU_TOO_OLD: { raised: [both(criu('3.17.1')), ({ source }) => criu('3.19')(source)], not: [both(criu('4.2'))] },
  CRIU_TOO_OLD_FOR_KERNEL: {
    raised: [both(criu('4.1.1'))],
    not: [
      both((host) => {
        criu('4.1.1')(host);
        host.kernel = '6.12.9';
      }),
    ],
  },
  CRIU_CHECK: {
    raised: [({ target }) => criu('4.2.1', 'UFFD is not supported')(target), both(criu('0', 'not found: libnet.so'))],
  },
  RUNC_MISSING: { raised: [({ source }) => (source.runc = null), ({ target }) => (target.runc = null)] },
  TOOL_MISSING: {
    raised: [({ target }) => (target.tools.rsync = false)],
    not: [({ target }) => (target.tools.nft = false)],
  },
  RSYNC_TOO_OLD: {
    raised: [
      ({ source }) => (source.rsync = { version: '3.1.3' }),
      ({ target }) => (target.rsync = { version: '3.2.2' }),
    ],
    not: [({ target }) => (target.rsync = { version: '3.2.3' }), ({ target }) => (target.rsync = null)],
  },
  DOCKER_UNREACHABLE: { raised: [({ target }) => (target.docker = null), ({ source }) => (source.docker = null)] },
  DOCKER_TOO_OLD: {
    raised: [({ docker }) => (docker.version = '20.10.24')],
    not: [({ docker }) => (docker.version = '24.0.0')],
  },
  STORAGE_DRIVER: {
    raised: [
      ({ docker }) => (docker.storageDriver = 'btrfs'),
      ({ sourceDocker }) => (sourceDocker.storageDriver = 'vfs'),
    ],
  },
  CONTAINERD_IMAGE_STORE: { raised: [({ docker }) => (docker.storageDriver = 'overlayfs')] },
  USERNS_REMAP: { raised: [({ docker }) => docker.security.push('name=userns')] },
  ROOTLESS_DOCKER: { raised: [({ docker }) => docker.security.push('name=rootless')] },

  RUNTIME_MISSING: {
    raised: [({ docker }) => (docker.runtimes = ['runc'])],
    not: [({ sourceDocker }) => (sourceDocker.runtimes = ['runc'])],
  },
  DRAYAGE_DIFFERS: { raised: [({ target }) => (target.drayage = '0.2.0')] },
  ARCH_DIFFERS: { raised: [({ target }) => (target.arch = 'aarch64')] },
  CPU_FLAGS_MISSING: {
    raised: [
      ({ source }) => source.cpuFlags.push('avx512f'),
      ({ source }) => source.cpuFlags.push('amx_tile'),
      both((host) => {
        host.arch = 'aarch64';
        host.cpuFlags = host.hostname === 'hosta' ? ['fp', 'asimd', 'sve'] : ['fp', 'asimd'];
      }),
    ],
    not: [({ target }) => target.cpuFlags.push('avx512f'), ({ source }) => source.cpuFlags.push('arch_perfmon')],
  },
  CPU_FLAGS_DIFFER: { raised: [({ source }) => source.cpuFlags.push('arch_perfmon')] },
  KERNEL_OLDER: {
    raised: [({ target }) => (target.kernel = '6.12.9-amd64')],
    not: [({ target }) => (target.kernel = '6.18.2'), ({ target }) => (target.kernel = '7.0.1')],
  },
  CRIU_OLDER_ON_TARGET: {
    raised: [({ source }) => criu('4.3')(source)],
    not: [({ target }) => criu('4.3')(target), ({ target }) => (target.criu = null)],
  },
  CGROUP_VERSION_DIFFERS: { raised: [({ target }) => (target.cgroup = 1)] },
  CGROUP_DRIVER_DIFFERS: { raised: [({ docker }) => (docker.cgroupDriver = 'cgroupfs')] },
  SECURITY_MODULE_MISSING: {
    raised: [({ docker }) => docker.security.shift(), ({ sourceDocker }) => sourceDocker.security.push('name=selinux')],
    not: [
      ({ docker, inspect }) => [docker.security.shift(), Object.assign(inspect, { AppArmorProfile: 'unconfined' })],
    ],
  },
  SECURITY_MODULE_ADDED: { raised: [({ sourceDocker }) => sourceDocker.security.shift()] },
  PIDS_TOO_HIGH: {
    raised: [
      ({ workload, target }) => {
        workload.processes.push({ pid: 9, innerPid: 40_000, name: 'x', obstacles: [] });
        target.sysctls['kernel.pid_max'] = '32768';
      },
    ],
    not: [({ target }) => (target.sysctls['kernel.pid_max'] = '32768'), ({ target }) => (target.sysctls = {})],
  },
  SYSCTL_LOWER: {
    raised: [
      ({ target }) => (target.sysctls['vm.max_map_count'] = '4096'),
      ({ target }) => (target.sysctls['vm.overcommit_memory'] = '2'),
    ],
    not: [
      ({ source }) => (source.sysctls['vm.max_map_count'] = '4096'),
      both(({ sysctls }) => (sysctls['vm.overcommit_memory'] = '2')),
    ],
  },
  CLOCK_SKEW: {
    raised: [({ target }) => (target.time += 1500), ({ target }) => (target.time -= 90_000)],
    not: [({ target }) => (target.time += 900)],
  },
  LIVE_RESTORE_OFF: {
    raised: [({ docker }) => (docker.liveRestore = false), ({ sourceDocker }) => (sourceDocker.liveRestore = false)],
  },

  NAME_TAKEN: {
    raised: [({ docker }) => docker.names.push('web')],
    not: [({ sourceDocker }) => sourceDocker.names.push('web')],
  },
  PORT_TAKEN: {
    raised: [
      ({ target }) => target.listening.push('tcp/0.0.0.0:6379'),
      ({ target }) => target.listening.push('tcp/[::]:6379'),
      ({ target }) => target.listening.push('tcp/127.0.0.1:6379'),
      ({ docker }) => docker.published.push('tcp/0.0.0.0:6379'),
      // One that the engine chose is kept on the target.
      (facts) => [
        hostConfig({ PortBindings: { '6379/tcp': [{ HostIp: '', HostPort: '' }] } })(facts),
        facts.target.listening.push('tcp/0.0.0.0:6379'),
      ],
    ],
    not: [
      ({ target }) => target.listening.push('udp/0.0.0.0:6379'),
      ({ target }) => target.listening.push('tcp/0.0.0.0:63790'),
      (facts) => [
        hostConfig({ PortBindings: { '6379/tcp': [{ HostIp: '10.0.0.1', HostPort: '6379' }] } })(facts),
        facts.target.listening.push('tcp/127.0.0.1:6379'),
      ],
      ({ source }) => source.listening.push('tcp/0.0.0.0:6379'),
    ],
  },
  OVERLAY_METACOPY: {
    raised: [({ sourceDocker }) => (sourceDocker.metacopy = true)],
    not: [
      ({ docker }) => (docker.metacopy = true),
      ({ docker, sourceDocker }) => [docker, sourceDocker].map((one) => Object.assign(one, { metacopy: true })),
    ],
  },
  OVERLAY_REDIRECTS: {
    raised: [
      ({ source, target }) => {
        source.overlay = { redirects: true, follows: true };
        target.overlay = { redirects: false, follows: false };
      },
    ],
    not: [
      ({ source }) => (source.overlay = { redirects: true, follows: true }),
      ({ target }) => (target.overlay = { redirects: false, follows: false }),
    ],
  },
  IPTABLES_MISSING: {
    raised: [without('iptables')],
    not: [
      ({ source }) => without('iptables')({ target: source }),
      ({ target, docker }) => [without('iptables')({ target }), Object.assign(docker, { firewall: 'nftables' })],
      (facts) => [without('iptables')(facts), hostConfig({ NetworkMode: 'none' })(facts)],
    ],
  },
  ADDRESS_TAKEN: {
    raised: [
      hasAddress,
      (facts) => [onNetwork(facts), facts.exploration.answered.push('172.30.0.2')],
      (facts) => [onNetwork(facts), obstacle('tcp-established')(facts), inUseBy('db')(facts)],
    ],
    not: [
      onNetwork,
      ({ exploration }) => exploration.answered.push('172.30.0.2'),
      (facts) => [
        onDefaultBridge(facts),
        Object.assign(facts.workload, { traffic: trafficAt('bridge') }),
        inUseBy('db')(facts),
      ],
    ],
  },
  HOST_ADDRESS_MISSING: {
    raised: [(facts) => [publishedAt('10.0.0.1')(facts), Object.assign(facts.target, { traffic: goodTraffic() })]],
    not: [
      publishedAt('10.0.0.1'),
      (facts) => [publishedAt('127.0.0.1')(facts), Object.assign(facts.target, { traffic: goodTraffic() })],
      (facts) => [hasAddress(facts), publishedAt('172.30.0.2')(facts)],
      ({ target }) => Object.assign(target, { traffic: goodTraffic() }),
    ],
  },
  NETWORK_DRIVER: {
    raised: [
      ({ workload }) => (workload.networks.lan = network('lan', '10.5.0.0/24', 'ipvlan')),
      // Without a parent it hangs on a device of the engine's own.
      ({ workload }) => (workload.networks.lan = network('lan', '10.5.0.0/24', 'macvlan')),
      ({ workload }) => (workload.networks.lan = macvlan({ macvlan_mode: 'passthru' })),
      ({ workload }) => (workload.networks.lan = { ...macvlan(), Internal: true }),
    ],
    not: [({ workload }) => (workload.networks.lan = macvlan())],
  },
  NETWORK_DIFFERS: {
    raised: [
      ({ docker }) =>
        docker.networks.push({
          name: 'shop',
          id: '1',
          driver: 'bridge',
          subnets: ['172.31.0.0/24'],
          containers: 0,
          addresses: {},
        }),
      ({ docker }) =>
        docker.networks.push({
          name: 'shop',
          id: '1',
          driver: 'ipvlan',
          subnets: ['172.30.0.0/24'],
          containers: 0,
          addresses: {},
        }),
    ],
    not: [
      ({ docker }) =>
        docker.networks.push({
          name: 'shop',
          id: '1',
          driver: 'bridge',
          subnets: ['172.30.0.0/24'],
          containers: 0,
          addresses: {},
        }),
    ],
  },
  NETWORK_SHARED: {
    raised: [
      ({ docker }) =>
        docker.networks.push({
          name: 'shop',
          id: '1',
          driver: 'bridge',
          subnets: ['172.30.0.0/24'],
          containers: 2,
          addresses: {},
        }),
    ],
  },
  SUBNET_TAKEN: {
    raised: [
      ({ docker }) =>
        docker.networks.push({
          name: 'other',
          id: '1',
          driver: 'bridge',
          subnets: ['172.30.0.0/16'],
          containers: 0,
          addresses: {},
        }),
      ({ target }) => target.subnets.push('172.16.0.0/12'),
      ({ target }) => target.subnets.push('172.30.0.200/32'),
    ],
    not: [
      ({ target }) => target.subnets.push('172.30.1.0/24'),
      ({ target }) => target.subnets.push('fd00::/8'),
      // Both hosts are on that LAN.
      ({ workload, target }) => [
        Object.assign(workload.networks, { lan: macvlan() }),
        target.subnets.push('10.5.0.0/24'),
      ],
    ],
  },
  VOLUME_EXISTS: {
    raised: [({ docker }) => docker.volumes.push('data')],
    not: [
      ({ sourceDocker }) => sourceDocker.volumes.push('data'),
      ({ docker }) => {
        docker.volumes.push('data');
        docker.keptVolumes.push('data');
      },
    ],
  },
  VOLUME_OF_KEPT_COPY: {
    raised: [
      ({ docker }) => {
        docker.volumes.push('data');
        docker.keptVolumes.push('data');
      },
    ],
    not: [({ docker }) => docker.volumes.push('data')],
  },
  VOLUME_SHARED: { raised: [({ workload }) => (workload.volumeUsers = { data: ['backup'] })] },
  VOLUME_DRIVER: { raised: [({ workload }) => (workload.volumes.v = { ...volume('v'), Driver: 'rclone' })] },
  VOLUME_OPTIONS: {
    raised: [({ workload }) => (workload.volumes.v = { ...volume('v'), Options: { type: 'nfs', device: ':/export' } })],
    not: [({ workload }) => (workload.volumes.v = { ...volume('v'), Options: {} })],
  },
  IMAGE_GONE: {
    raised: [({ workload }) => (workload.image.layers = [])],
    not: [
      ({ workload, docker }) => [
        Object.assign(workload.image, { layers: [] }),
        docker.images.push({ id: 'sha256:1111', tags: [] }),
      ],
    ],
  },
  IMAGE_TAG_ELSEWHERE: {
    raised: [
      ({ docker }) => docker.images.push({ id: 'sha256:3333', tags: ['redis:7'] }),
      ({ docker, workload }) => [
        Object.assign(workload.image, { reference: 'docker.io/library/redis' }),
        docker.images.push({ id: 'sha256:3333', tags: ['redis:latest'] }),
      ],
    ],
    not: [({ docker }) => docker.images.push({ id: 'sha256:1111', tags: ['redis:7'] })],
  },

  MEMORY_SHORT_HERE: {
    raised: [({ source }) => (source.memoryAvailable = 50 << 20)],
    not: [({ source }) => (source.memoryAvailable = 100 << 20)],
  },
  MEMORY_SHORT: {
    raised: [({ target }) => (target.memoryAvailable = 150 << 20)],
    not: [({ target }) => (target.memoryAvailable = 200 << 20)],
  },
  DISK_SHORT: {
    raised: [({ target }) => (target.diskAvailable = 100 << 20)],
    // With the image there, only the files need room.
    not: [
      ({ target, docker }) => [
        Object.assign(target, { diskAvailable: 100 << 20 }),
        docker.images.push({ id: 'sha256:1111', tags: [] }),
      ],
    ],
  },
};

const codes = (findings: readonly Finding[]): string[] => findings.map(({ code }) => code);
const CODES = Object.keys(CASES) as Code[];

it('has nothing against the plain good pair', () => {
  expect(find()).toEqual([]);
});

describe.each(CODES)('%s', (code) => {
  const { raised, not = [] } = CASES[code];
  it.each(raised.map((spoil) => [spoil]))('is raised', (spoil) => {
    expect(codes(find(spoil))).toContain(code);
  });
  it.each(not.map((spoil) => [spoil]))('is not raised', (spoil) => {
    expect(codes(find(spoil))).not.toContain(code);
  });
});

describe('options', () => {
  it('make costs of what the user agreed to', () => {
    for (const kind of ['tcp-established', 'listen-backlog'] as const) {
      expect(find(obstacle(kind))).toMatchObject([{ severity: 'blocks' }]);
      expect(find(obstacle(kind), dropConnections)).toMatchObject([{ severity: 'costs' }]);
    }
    expect(find(obstacle('mptcp'), dropConnections)).toMatchObject([{ severity: 'blocks' }]);
  });
});

describe('an address in use on the target', () => {
  it('is a cost where the copy may get another one, and nobody minds', () => {
    expect(find(onNetwork, inUseBy('db')).filter(({ code }) => code === 'ADDRESS_TAKEN')).toMatchObject([
      { severity: 'costs', message: '172.30.0.2 of web is in use on hostb, by the container db.' },
    ]);
    const fixed: Spoil = ({ inspect }) =>
      Object.assign(inspect.NetworkSettings.Networks.shop ?? {}, { IPAMConfig: { IPv4Address: '172.30.0.2' } });
    for (const spoil of [fixed, obstacle('tcp-established')]) {
      const found = find(onNetwork, inUseBy('db'), spoil).filter(({ code }) => code === 'ADDRESS_TAKEN');
      expect(found).toMatchObject([{ severity: 'blocks' }]);
    }
  });
});

describe('messages', () => {
  it('name the processes, and count what is too much to tell', () => {
    const many = Array.from({ length: 6 }, (_, i) => obstacle('tcp-established', `10.0.0.1:80 to 10.0.0.2:${i}`));
    const [finding, ...more] = find(...many);
    expect(more).toEqual([]);
    expect(finding?.message).toBe(
      'web has established connections: redis-server (pid 7): 10.0.0.1:80 to 10.0.0.2:0; redis-server (pid 7): 10.0.0.1:80 to 10.0.0.2:1; redis-server (pid 7): 10.0.0.1:80 to 10.0.0.2:2; redis-server (pid 7): 10.0.0.1:80 to 10.0.0.2:3; and 2 more.',
    );
  });

  it('name the host that something is missing on', () => {
    expect(find(({ target }) => (target.criu = null))).toMatchObject([{ message: 'hostb has no CRIU.' }]);
    expect(find(({ target }) => target.listening.push('tcp/0.0.0.0:6379'))).toMatchObject([
      { message: 'Port 6379/tcp is in use on hostb.' },
    ]);
  });
});

const SPOILS = CODES.flatMap((code) => CASES[code].raised);
const someSpoils = fc.subarray(SPOILS, { minLength: 0, maxLength: 12 });

it('whatever comes together: every finding is whole and known, blocks come first, and the order is stable', () => {
  const rank = { blocks: 0, costs: 1, note: 2 };
  fc.assert(
    fc.property(someSpoils, (spoils) => {
      const findings = find(...spoils);
      for (const { code, message, meaning, remedy } of findings) {
        expect(FINDINGS).toHaveProperty(code);
        expect(message).toMatch(/^[A-Z0-9a-z].*\.$/s);
        expect(meaning).toMatch(/^\S.*\.$/s);
        expect(remedy).toMatch(/^\S.*\.$/s);
      }
      const ranks = findings.map(({ severity }) => rank[severity]);
      expect(ranks).toEqual([...ranks].sort());
      expect(find(...spoils)).toEqual(findings);
    }),
    { numRuns: 200 },
  );
});

describe('sourceHindrances', () => {
  const hindrances = (spoil: Spoil): string[] => {
    const inspect = goodInspect();
    const source = goodHost('hosta');
    const workload = { ...goodWorkload(), inspect };
    if (source.docker === null) throw new Error('it has Docker');
    spoil({
      workload,
      inspect,
      hostConfig: inspect.HostConfig,
      source,
      target: goodHost('x'),
      exploration: { answered: [] },
      options: OPTIONS,
      docker: source.docker,
      sourceDocker: source.docker,
    });
    return sourceHindrances(workload, source);
  };

  it('are what blocks, as far as the source can tell', () => {
    expect(hindrances(() => {})).toEqual([]);
    expect(hindrances(hostConfig({ Privileged: true }))).toEqual([]);
    expect(hindrances(hostConfig({ PidMode: 'host' }))).toEqual(['uses the pid namespace of the host']);
    expect(hindrances(obstacle('mptcp', '0.0.0.0:80'))).toEqual(['listens with Multipath TCP']);
    expect(hindrances(mount('/srv/web'))).toEqual(["has the host's /srv/web at /mnt"]);
    expect(hindrances(({ source }) => (source.criu = null))).toEqual(['hosta has no CRIU']);
  });
});

it('is total: it judges whatever an engine leaves out', () => {
  const workload = { ...goodWorkload(), inspect: {} };
  expect(preflight({ workload, source: goodHost('hosta'), target: goodHost('hostb') }, OPTIONS)).toEqual([]);
  const bare = { ...goodHost('hostb'), docker: null, criu: null, runc: null, sysctls: {}, tools: {}, cpuFlags: [] };
  expect(codes(preflight({ workload, source: bare, target: bare }, OPTIONS))).toContain('DOCKER_UNREACHABLE');
});
