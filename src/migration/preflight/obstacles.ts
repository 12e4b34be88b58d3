/** What the workload's processes hold that CRIU cannot dump, or that does not survive the move. */

import { PREDEFINED_NETWORKS } from '../../engines/docker/predefined-networks.ts';
import type { ObstacleKind, ProcessFacts } from '../../engines/facts.ts';
import type { Finding } from '../finding.ts';
import type { SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

/** One finding for each kind of obstacle, however many processes have it. */
export function checkObstacles(c: SourceCase): Finding[] {
  const found = c.workload.processes.flatMap((process) =>
    process.obstacles.filter((obstacle) => counts(c, obstacle)).map((obstacle): Instance => ({ ...obstacle, process })),
  );
  return [...Map.groupBy(found, ({ kind }) => kind)].flatMap(([kind, instances]) => {
    const code = CODES[kind];
    return code === undefined ? [] : [raise(code, message(c.name, kind, instances), instead(kind, c))];
  });
}

type Obstacle = ProcessFacts['obstacles'][number];
interface Instance extends Obstacle {
  process: ProcessFacts;
}

export const OBSTACLE_FINDINGS = {
  IO_URING: {
    severity: 'blocks',
    meaning: 'CRIU cannot dump io_uring: requests under way live in the kernel.',
    remedy: 'Turn it off in the program (Node.js: UV_USE_IO_URING=0; MariaDB: innodb_use_native_aio=0) and restart it.',
  },
  MPTCP: {
    severity: 'blocks',
    meaning:
      'CRIU cannot dump Multipath TCP sockets. Programs built with Go 1.24 or newer listen with them by default.',
    remedy: 'Restart the program with GODEBUG=multipathtcp=0 in its environment.',
  },
  TCP_ESTABLISHED: {
    severity: 'note',
    meaning: 'They move along: what clients send meanwhile waits, and they see a pause.',
    remedy: 'Nothing is to be done.',
  },
  LISTEN_BACKLOG: {
    severity: 'note',
    meaning:
      'CRIU moves connections that a process holds: the freeze waits a moment until these are accepted, and the move is undone where they are not.',
    remedy: 'Nothing is to be done unless the program has stopped accepting; then give --drop-connections.',
  },
  SCTP: {
    severity: 'blocks',
    meaning: 'CRIU cannot dump SCTP and DCCP sockets.',
    remedy: 'Move it by stopping it here and starting it there.',
  },
  UNSUPPORTED_SOCKET: {
    severity: 'blocks',
    meaning: 'CRIU cannot dump sockets of this family.',
    remedy: 'Let the program close them before the move, or move it by stopping it here and starting it there.',
  },
  OUTSIDE_UNIX_SOCKET: {
    severity: 'blocks',
    meaning: 'The other end of the connection is a process outside of it, and stays behind.',
    remedy: 'Let the program close the connection before the move, or run it without the mounted socket.',
  },
  OPEN_DEVICE: {
    severity: 'blocks',
    meaning: 'What the driver knows of the open device is out of reach of CRIU.',
    remedy: 'Let the program close it before the move, or run it without.',
  },
  UNSUPPORTED_DESCRIPTOR: {
    severity: 'blocks',
    meaning: 'CRIU cannot dump descriptors of this kind.',
    remedy: 'Let the program close it before the move, e.g. by turning profiling or tracing off.',
  },
  FILE_LOCKS: {
    severity: 'note',
    meaning:
      'Locks move with their holders. On storage that both hosts see, a lock is free for a moment while they move.',
    remedy: 'Nothing is to be done unless others wait for these locks on shared storage.',
  },
  LARGE_DELETED_FILE: {
    severity: 'blocks',
    meaning:
      'A file without a name can move only inside the memory images, and CRIU takes none that is larger than 1 MiB.',
    remedy: 'Let the program close it, for instance by rotating its logs or by a restart.',
  },
  TRACED: {
    severity: 'blocks',
    meaning: 'A process can have one tracer only, and CRIU must be it.',
    remedy: 'End the debugger, strace or profiler.',
  },
  SYSV_HOST_IPC: {
    severity: 'blocks',
    meaning: "System V shared memory of the host's stays with the host.",
    remedy: 'Create the container again with --ipc private.',
  },
  NESTED_NAMESPACE: {
    severity: 'blocks',
    meaning:
      'CRIU cannot dump namespaces within those of the container; sandboxes of browsers and nested containers make them.',
    remedy: 'Turn the sandbox off (Chromium: --no-sandbox), or move it by stopping it here and starting it there.',
  },
  SESSION_OUTSIDE: {
    severity: 'blocks',
    meaning: 'It came from outside, and its session cannot be made again inside.',
    remedy: 'End it, and use docker exec instead of nsenter.',
  },
  INOTIFY_UNRESOLVABLE: {
    severity: 'blocks',
    meaning:
      'The watched file or directory was deleted or cannot be found by its number, so the watch cannot be made again.',
    remedy: 'Restart the program, or put what it watches on a volume.',
  },
  NETWORK_FS: {
    severity: 'blocks',
    meaning: 'CRIU cannot make mounts of network and user-space file systems again.',
    remedy: 'Unmount it before the move, or give it to the container as a volume.',
  },
  SYSTEMD: {
    severity: 'blocks',
    meaning: 'systemd keeps descriptors, mounts and control groups of its own that do not survive a move.',
    remedy: "Run the service itself as the container's program, or move it by stopping it here and starting it there.",
  },
  FOREIGN_LIMITS: {
    severity: 'blocks',
    meaning:
      "CRIU reads and sets resource limits of every process, and this host's root may not do that for other users: it lacks CAP_SYS_RESOURCE, as in some sandboxes and containers.",
    remedy: 'Run Docker and drayage where root has all capabilities, or the program as root.',
  },
  BOUND_ADDRESS: {
    severity: 'blocks',
    meaning: 'The copy has another address, so CRIU cannot bind the socket there.',
    remedy:
      'Put the container on a user-defined network, where its address moves with it, or let the program listen on 0.0.0.0.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(OBSTACLE_FINDINGS);

/** `undefined` where CRIU only needs to be told. */
const CODES: Readonly<Record<ObstacleKind, keyof typeof OBSTACLE_FINDINGS | undefined>> = {
  'io-uring': 'IO_URING',
  mptcp: 'MPTCP',
  'tcp-established': 'TCP_ESTABLISHED',
  'listen-backlog': 'LISTEN_BACKLOG',
  sctp: 'SCTP',
  'unsupported-socket': 'UNSUPPORTED_SOCKET',
  'outside-unix-socket': 'OUTSIDE_UNIX_SOCKET',
  device: 'OPEN_DEVICE',
  'unsupported-fd': 'UNSUPPORTED_DESCRIPTOR',
  'file-lock': 'FILE_LOCKS',
  'large-deleted-file': 'LARGE_DELETED_FILE',
  traced: 'TRACED',
  'sysv-host-ipc': 'SYSV_HOST_IPC',
  'nested-pidns': 'NESTED_NAMESPACE',
  'nested-mntns': 'NESTED_NAMESPACE',
  'nested-userns': 'NESTED_NAMESPACE',
  'session-outside': 'SESSION_OUTSIDE',
  'inotify-path': undefined,
  'inotify-unresolvable': 'INOTIFY_UNRESOLVABLE',
  'network-fs': 'NETWORK_FS',
  systemd: 'SYSTEMD',
  'foreign-limits': 'FOREIGN_LIMITS',
  'bound-address': 'BOUND_ADDRESS',
};

const PHRASES: Readonly<Record<ObstacleKind, string>> = {
  'io-uring': 'uses io_uring',
  mptcp: 'listens with Multipath TCP',
  'tcp-established': 'has established connections',
  'listen-backlog': 'has connections that are not accepted yet',
  sctp: 'has SCTP or DCCP sockets',
  'unsupported-socket': 'has sockets of a family that cannot move',
  'outside-unix-socket': 'is connected to a unix socket outside of it',
  device: 'has a device open',
  'unsupported-fd': 'has a descriptor that cannot move',
  'file-lock': 'holds file locks',
  'large-deleted-file': 'has a large deleted file open',
  traced: 'is being traced',
  'sysv-host-ipc': "uses System V shared memory of the host's",
  'nested-pidns': 'has a pid namespace inside',
  'nested-mntns': 'has a mount namespace inside',
  'nested-userns': 'has a user namespace inside',
  'session-outside': 'has a process that came from outside',
  'inotify-path': 'watches files',
  'inotify-unresolvable': 'watches a file that cannot be found',
  'network-fs': 'mounted a file system that cannot move',
  systemd: 'runs systemd',
  'foreign-limits': 'has processes of other users than root',
  'bound-address': 'is bound to an address that it will not have',
};

/** Told of one kind; the rest is counted. */
const MOST_TOLD = 4;

function message(name: string, kind: ObstacleKind, instances: readonly Instance[]): string {
  const told = instances
    .slice(0, MOST_TOLD)
    .map(({ process, detail }) => `${process.name} (pid ${process.innerPid}): ${detail}`);
  const more = instances.length - MOST_TOLD;
  return `${name} ${PHRASES[kind]}: ${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
}

/** What the user has already agreed to. */
function instead(kind: ObstacleKind, { options }: SourceCase): Partial<Entry> {
  if (kind !== 'tcp-established' && kind !== 'listen-backlog') return {};
  if (!options.dropConnections && options.handover !== 'none') return {};
  if (!options.dropConnections) {
    return {
      severity: 'blocks',
      meaning: 'With --handover none nothing brings the packets of these connections to the target.',
      remedy: 'Leave --handover out, or give --drop-connections if clients can reconnect.',
    };
  }
  return {
    severity: 'costs',
    meaning:
      'These connections are closed by the move, as --drop-connections allows: clients see a reset and must reconnect.',
    remedy: 'Nothing is to be done if clients reconnect by themselves.',
  };
}

function counts({ container, networks }: SourceCase, { kind, detail }: Obstacle): boolean {
  switch (kind) {
    case 'bound-address':
      return !moves(
        addressOf(detail),
        container.endpoints,
        networks.map(({ Name }) => Name),
      );
    case 'network-fs':
      // One that the engine mounted, as a bind or volume, is a finding of its own.
      return !container.mounts.some(({ Destination }) => detail.endsWith(` on ${Destination}`));
    default:
      return true;
  }
}

/** `tcp 172.17.0.2:80`, `udp [fd00::2]:53` */
function addressOf(detail: string): string {
  return /^\S+ \[?([^\]]*?)\]?:\d+$/.exec(detail)?.[1] ?? detail;
}

/** Whether the copy has the address, too: on user-defined networks it does, and groups and broadcasts are nobody's. */
function moves(
  address: string,
  endpoints: SourceCase['container']['endpoints'],
  userDefined: readonly string[],
): boolean {
  if (/^(22[4-9]|23\d)\.|^255\.255\.255\.255$|^ff/.test(address)) return true;
  return Object.entries(endpoints).some(
    ([network, { IPAddress, GlobalIPv6Address }]) =>
      (userDefined.includes(network) || !PREDEFINED_NETWORKS.includes(network)) &&
      (IPAddress === address || GlobalIPv6Address === address),
  );
}
