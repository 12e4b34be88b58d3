/** What becomes of the findings for a live move where the workload is to be stopped here and started there. */
import { healthOf, SETTLE_MS } from '../../engines/docker/health.ts';
import type { Finding } from '../finding.ts';
import { openConnections, tmpfsMounts } from '../plan-restart.ts';
import type { SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

/** Those that concern memory, sockets, CRIU and processors do not count any more; others mean something else. */
export function byRestart(live: readonly Finding[], c: SourceCase): Finding[] {
  const isRunning = c.workload.state === 'running';
  const kept = live.flatMap((finding) => {
    if (LIVE_ONLY.has(finding.code)) return [];
    if (finding.code === 'GPU') return [{ ...finding, ...DEVICES_THERE }];
    if (finding.code === 'AUTO_REMOVE' && isRunning) return [raise('REMOVED_BY_STOP', finding.message)];
    return [finding];
  });
  return [
    ...(isRunning ? lossFindings(c) : [raise('STAYS_STOPPED', `${c.name} does not run.`)]),
    ...kept,
    ...shared(c),
  ];
}

export const RESTART_FINDINGS = {
  MEMORY_LOST: {
    severity: 'costs',
    meaning: 'By restart it is stopped here and started there: what it has not written to files is lost.',
    remedy: 'See that the program keeps what matters in files or volumes; live moves keep the memory.',
  },
  CONNECTIONS_LOST: {
    severity: 'costs',
    meaning: 'They end as the program ends them when it is stopped. New ones wait until the copy runs.',
    remedy: 'Nothing is to be done if clients connect again by themselves.',
  },
  TMPFS_LOST: {
    severity: 'costs',
    meaning: 'Its content is in memory, and empty in the copy.',
    remedy: 'Use a volume there if the content matters.',
  },
  REMOVED_BY_STOP: {
    severity: 'blocks',
    meaning:
      'The engine deletes it as soon as it is stopped: there would be nothing to send, and nothing to go back to.',
    remedy: 'Create the container again without --rm.',
  },
  SHARES_WITH_HOST: {
    severity: 'costs',
    meaning: "The copy shares the target's; what the program set up in that of this host stays here.",
    remedy: 'See that the target has what the program needs there.',
  },
  CLIENTS_NOT_FOLLOWED: {
    severity: 'costs',
    meaning: "It has no address of its own: nothing is held or forwarded, and clients must use the target's address.",
    remedy: 'Point clients at the target afterwards.',
  },
  SHARED_CONTAINER: {
    severity: 'blocks',
    meaning: 'The target has no such container, so the copy could not be created.',
    remedy: 'Create the container again without that mode.',
  },
  STAYS_STOPPED: {
    severity: 'note',
    meaning: 'Its files, volumes and configuration move, and it is not started on the target.',
    remedy: 'Start it there when you like (docker start).',
  },
  UNHEALTHY_HERE: {
    severity: 'costs',
    meaning: 'A copy that is no better counts as one that did not come up, and the move will be undone.',
    remedy: 'See docker inspect (State.Health) for what the check says; or name an address that tells: --healthy-url.',
  },
  NO_HEALTHCHECK: {
    severity: 'note',
    meaning: `It has no health check: it is taken for healthy when it has been running for ${SETTLE_MS / 1000} s on the target.`,
    remedy:
      'Name an address that answers when it is well, as the target reaches it: --healthy-url http://localhost:PORT/.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(RESTART_FINDINGS);

/** Codes that do not matter where the program starts anew. */
export const LIVE_ONLY: ReadonlySet<string> = new Set([
  ...['NOT_RUNNING', 'SHARED_NAMESPACE', 'SHAREABLE_SHM'],
  ...['IO_URING', 'MPTCP', 'TCP_ESTABLISHED', 'LISTEN_BACKLOG', 'SCTP', 'UNSUPPORTED_SOCKET', 'OUTSIDE_UNIX_SOCKET'],
  ...['OPEN_DEVICE', 'UNSUPPORTED_DESCRIPTOR', 'FILE_LOCKS', 'LARGE_DELETED_FILE', 'TRACED', 'SYSV_HOST_IPC'],
  ...['NESTED_NAMESPACE', 'SESSION_OUTSIDE', 'INOTIFY_UNRESOLVABLE', 'NETWORK_FS', 'SYSTEMD', 'FOREIGN_LIMITS'],
  ...[
    'BOUND_ADDRESS',
    'CRIU_MISSING',
    'CRIU_TOO_OLD',
    'CRIU_TOO_OLD_FOR_KERNEL',
    'CRIU_CHECK',
    'LARGE_PACKETS_DROPPED',
  ],
  ...['CPU_FLAGS_MISSING', 'CPU_FLAGS_DIFFER', 'KERNEL_OLDER', 'CRIU_OLDER_ON_TARGET', 'CGROUP_VERSION_DIFFERS'],
  ...['CGROUP_DRIVER_DIFFERS', 'SECURITY_MODULE_MISSING', 'SECURITY_MODULE_ADDED', 'PIDS_TOO_HIGH'],
  ...['MEMORY_SHORT_HERE', 'MEMORY_SHORT', 'HOLD_MISSES_NEIGHBOURS'],
  ...['ADDRESS_RULES_REFUSED', 'ADDRESS_HOLD_DROPS', 'NEIGHBOURS_DROPPED'],
]);

const DEVICES_THERE: Entry = {
  severity: 'costs',
  meaning:
    "The copy asks the target's engine for the same; where that has none it does not start, and the move is undone.",
  remedy: 'See that the target has such devices, and what its engine needs for them.',
};

function lossFindings({ name, workload, container: { inspect }, options }: SourceCase): Finding[] {
  const connections = openConnections(workload);
  const tmpfs = tmpfsMounts(inspect);
  const health = healthOf(inspect.Config ?? {}, options.healthyUrl);
  const mebibytes = Math.max(1, Math.round(workload.memoryBytes / 2 ** 20));
  return [
    raise('MEMORY_LOST', `${name} has ${mebibytes} MiB in memory.`),
    ...(connections === 0 ? [] : [raise('CONNECTIONS_LOST', `${name} has established connections: ${connections}.`)]),
    ...(tmpfs.length === 0 ? [] : [raise('TMPFS_LOST', `${name} has a tmpfs at ${tmpfs.join(', ')}.`)]),
    ...(health.by === 'healthcheck' && inspect.State?.Health?.Status === 'unhealthy'
      ? [raise('UNHEALTHY_HERE', `The health check of ${name} fails here already.`)]
      : []),
    ...(health.by === 'running' ? [raise('NO_HEALTHCHECK', `Nothing tells when ${name} is well.`)] : []),
  ];
}

/** Namespaces that it shares. A live move takes whole ones only; another host has some of its own. */
function shared({ name, container: { hostConfig } }: SourceCase): Finding[] {
  const modes = { network: hostConfig.NetworkMode, pid: hostConfig.PidMode, ipc: hostConfig.IpcMode };
  return Object.entries(modes).flatMap(([kind, mode = '']) => {
    const what = `${name} uses the ${kind} namespace of ${mode === 'host' ? 'the host' : mode}.`;
    if (mode.startsWith('container:')) return [raise('SHARED_CONTAINER', what)];
    if (mode !== 'host') return [];
    return [
      raise('SHARES_WITH_HOST', what),
      ...(kind === 'network'
        ? [raise('CLIENTS_NOT_FOLLOWED', `${name} is reached by the addresses of this host.`)]
        : []),
    ];
  });
}
