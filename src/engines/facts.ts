/** Facts of workloads and hosts: plain JSON, gathered by survey, from which plan and preflight decide. */

import type { TrafficFacts } from '../traffic/capabilities.ts';
import type { PublishedPort, WorkloadAddress } from '../traffic/facts.ts';
import type { OwnDevice } from '../traffic/own-device.ts';
import type { DigestedFile, FileState } from './process/compare-files.ts';
import type { TreeLimits } from './process/limits.ts';
import type { OuterPipe } from './process/outer-pipes.ts';
import type { Restarter } from './process/restarter.ts';
import type { TerminalFacts } from './process/terminal.ts';

/** `engine:name` as users write it. */
export interface WorkloadRef {
  engine: 'docker' | 'process';
  name: string;
}

export interface WorkloadSummary {
  ref: WorkloadRef;
  id: string;
  state: string;
  image: string;
  /** What hinders a live move, as far as this host alone can tell; empty where nothing does. */
  hindrances: string[];
}

/** What the kernel knows of one process of a workload. */
export interface ProcessFacts {
  /** On the host. */
  pid: number;
  /** In the workload's own pid namespace. */
  innerPid: number;
  name: string;
  /** Things which CRIU cannot dump or which need an option; each with what was seen, e.g. a path or an address. */
  obstacles: { kind: ObstacleKind; detail: string }[];
}

export type ObstacleKind =
  | 'io-uring'
  | 'mptcp'
  | 'tcp-established'
  | 'listen-backlog'
  | 'sctp'
  | 'unsupported-socket'
  | 'outside-unix-socket'
  | 'device'
  | 'unsupported-fd'
  | 'file-lock'
  | 'large-deleted-file'
  | 'traced'
  | 'sysv-host-ipc'
  | 'nested-pidns'
  | 'nested-mntns'
  | 'nested-userns'
  | 'session-outside'
  /** An inotify watch whose path CRIU must be told (`irmap-scan-path`); the detail is that path and nothing else. */
  | 'inotify-path'
  | 'inotify-unresolvable'
  | 'network-fs'
  | 'systemd'
  /** Runs as another user than root, on a host whose root lacks CAP_SYS_RESOURCE. */
  | 'foreign-limits'
  | 'bound-address';

/** One tree of files to carry. */
export interface FileTree {
  /** `upper`, or `volume:NAME`, or `bind:/destination`. */
  key: string;
  kind: 'upper' | 'volume' | 'bind';
  /** Absolute path on the source. */
  path: string;
  bytes: number;
  entries: number;
}

/** Where clients reach a workload. */
export interface WorkloadTraffic {
  /** Ports of the host that lead to it. */
  published: PublishedPort[];
  /** Its addresses on bridges of the host. */
  addresses: WorkloadAddress[];
  /** Other ends of connections that are open: who opened them to it, and to whom it did; at most some hundred of each. */
  clients: string[];
  servers: string[];
  /** By which it is on the LAN itself. */
  own: OwnDevice[];
}

export interface WorkloadFacts {
  ref: { engine: 'docker'; name: string };
  id: string;
  state: 'running' | 'paused' | 'restarting' | 'exited' | 'created' | 'dead';
  /** Host pid of the init process; 0 where not running. */
  pid: number;
  /** The engine's own full description (docker inspect). */
  inspect: unknown;
  /** Full descriptions of the user-defined networks it is on (docker network inspect), by name. */
  networks: Record<string, unknown>;
  /** Full descriptions of its named volumes, by name. */
  volumes: Record<string, unknown>;
  /** Other containers of the engine, running or not, that use a volume of it, by the volume's name. */
  volumeUsers?: Record<string, string[]>;
  image: {
    id: string;
    /** The name the container was created by. */
    reference: string;
    /** Repository tags that name this image on the source. */
    tags: string[];
    /** Diff ids, bottom first. */
    layers: string[];
    bytes: number;
  };
  files: FileTree[];
  processes: ProcessFacts[];
  /** Resident anonymous and shared memory that a dump will hold, in bytes. */
  memoryBytes: number;
  /** Directory of the freezer cgroup (v1) or of the cgroup (v2). */
  cgroupPath: string;
  /** `--root` for runc. */
  runtimeRoot: string;
  /** Absent where it does not run. */
  traffic?: WorkloadTraffic;
  /** Path of the runtime binary if it is not runc or drayage's own. */
  foreignRuntime?: string;
}

/** A tree of processes that no engine keeps. */
export interface ProcessTreeFacts {
  /** The name is the pid of the process at the top. */
  ref: { engine: 'process'; name: string };
  /** Unlike that of any other process of this host since it was booted. */
  id: string;
  pid: number;
  /** Numbers of its processes, their threads, sessions and groups, which all stay the same. */
  taskIds: number[];
  /** As users know it. */
  program: string;
  /** With its arguments. */
  command: string;
  /** Files of the host that it uses. */
  files: DigestedFile[];
  /** Terminals that it is on and does not keep itself. */
  terminals: TerminalFacts[];
  /** Sockets of the host's that it listens on, `tcp/0.0.0.0:80`. */
  listening: string[];
  /** Pipes that other processes have an end of. */
  outerPipes: OuterPipe[];
  /** Of the cgroups that it is in. */
  limits: TreeLimits;
  /** What starts it anew here once it has been killed; absent where nothing is known to. */
  restarter?: Restarter;
  /** Namespaces, or `root` directory, that are not the host's. */
  foreign: string[];
  processes: ProcessFacts[];
  memoryBytes: number;
  /** Of drayage's own, once it is being moved; empty before. */
  cgroupPath: string;
}

export type AnyWorkload = WorkloadFacts | ProcessTreeFacts;

export function isTree(workload: AnyWorkload): workload is ProcessTreeFacts {
  return workload.ref.engine === 'process';
}

/** Where a host has CRIU; the usual place where that is not known. */
export function criuPathOf({ criu }: Pick<HostFacts, 'criu'>): string {
  return criu?.path ?? '/usr/sbin/criu';
}

/** What a host is to look for, where a tree of processes is to be moved to it. */
export interface TreeQuestion {
  /** `process:4711` */
  workload: string;
  files: DigestedFile[];
  taskIds: number[];
  /** It comes with a terminal. */
  terminal: boolean;
  /** `tcp/0.0.0.0:80` */
  listening: string[];
}

/** What a host has in the way of a tree of processes, or in common with it. */
export interface TreeSurroundings {
  /** What is at the path of each of its files, in their order. */
  files: FileState[];
  /** Of the numbers of its processes and threads, those that are in use. */
  takenPids: number[];
  /** Programs for terminals that are missing. */
  missingPrograms: string[];
  /** Limits that can be set there. */
  limitable: (keyof TreeLimits)[];
  /** What the host listens on in its place, since the tree was there before: it makes way. */
  relayed: string[];
}

export interface HostFacts {
  hostname: string;
  arch: string;
  kernel: string;
  drayage: string;
  root: boolean;
  cgroup: 1 | 2;
  criu: { version: string; check: 'ok' | string; path: string } | null;
  runc: { version: string } | null;
  rsync: { version: string } | null;
  /** Whether overlays write down renames of directories, and follow those that others wrote (overlayfs.rst). */
  overlay: { redirects: boolean; follows: boolean };
  docker: {
    version: string;
    api: string;
    dataRoot: string;
    cgroupDriver: string;
    storageDriver: string;
    liveRestore: boolean;
    /** Names of the runtimes it knows. */
    runtimes: string[];
    security: string[];
    /** By what it makes its networks: `iptables`, `nftables`, `iptables+firewalld`. */
    firewall: string;
    /** Its overlays copy what is changed of a file's inode, and leave the content below (docker info: Using metacopy). */
    metacopy: boolean;
    names: string[];
    /** Chain ids of all layers it has. */
    layers: string[];
    images: { id: string; tags: string[] }[];
    networks: {
      name: string;
      id: string;
      driver: string;
      subnets: string[];
      containers: number;
      /** Of running containers there, by address; with the containers' names. */
      addresses: Record<string, string>;
      /** The host's device that its containers hang on, where they are on the LAN by themselves. */
      parent?: string;
    }[];
    volumes: string[];
    /** Those of them that only kept copies of earlier migrations use. */
    keptVolumes: string[];
    /** Ports of running containers, `tcp/0.0.0.0:8080`: also where no proxy listens for them. */
    published: string[];
  } | null;
  /** Listening sockets on the host, `tcp/0.0.0.0:80`. */
  listening: string[];
  /** Subnets of all interfaces and routes that are not the engine's own networks. */
  subnets: string[];
  /** What its kernel and programs can do for traffic; absent where that was not looked at. */
  traffic?: TrafficFacts;
  /** In the way of a tree of processes; absent where none was asked about. */
  tree?: TreeSurroundings;
  memoryAvailable: number;
  diskAvailable: number;
  /** Output of `criu cpuinfo dump` is compared by `criu cpuinfo check` on the target; here the flags of /proc/cpuinfo. */
  cpuFlags: string[];
  sysctls: Record<string, string>;
  tools: Record<string, boolean>;
  /** Unix time in milliseconds when this was gathered, for the clock skew. */
  time: number;
}
