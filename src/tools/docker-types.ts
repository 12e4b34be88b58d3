/**
 * The parts of the Engine API's types that drayage uses, by hand from the API reference (v1.43 to v1.51). What comes
 * from the engine is `Open<T>`: fields that are not named here pass through untouched, so that a configuration can be
 * handed on with all that a newer engine put into it.
 */

type Open<T> = T & Record<string, unknown>;

/** `POST /containers/create`. */
export type ContainerCreateBody = Open<
  ContainerConfig & {
    HostConfig: HostConfig;
    /** Several endpoints from API 1.44 on, before only that of the network mode. */
    NetworkingConfig?: { EndpointsConfig: Record<string, EndpointConfig> };
  }
>;

export type ContainerConfig = Open<{
  Hostname?: string;
  Domainname?: string;
  User?: string;
  Image?: string;
  Env?: string[] | null;
  Cmd?: string[] | null;
  Entrypoint?: string[] | null;
  WorkingDir?: string;
  Labels?: Record<string, string> | null;
  ExposedPorts?: Record<string, object> | null;
  Volumes?: Record<string, object> | null;
  Tty?: boolean;
  OpenStdin?: boolean;
  MacAddress?: string;
  /** Seconds that it has to stop, where it was given any. */
  StopTimeout?: number | null;
  /** Of SHELL in a Dockerfile. */
  Shell?: string[] | null;
  Healthcheck?: HealthcheckConfig | null;
}>;

/** Times in nanoseconds; 0 and absent are the engine's defaults. */
type HealthcheckConfig = Open<{
  /** `["NONE"]`, `["CMD", program, …]` or `["CMD-SHELL", line]`; empty: the image's. */
  Test?: string[] | null;
  Interval?: number;
  Timeout?: number;
  Retries?: number;
  StartPeriod?: number;
}>;

export type HostConfig = Open<{
  Runtime?: string;
  NetworkMode?: string;
  PidMode?: string;
  IpcMode?: string;
  UTSMode?: string;
  AutoRemove?: boolean;
  RestartPolicy?: RestartPolicy;
  /** By `80/tcp`. */
  PortBindings?: Record<string, PortBinding[] | null> | null;
  /** `source:destination[:options]`, source a path or the name of a volume. */
  Binds?: string[] | null;
  Mounts?: MountSpec[] | null;
  Tmpfs?: Record<string, string> | null;
  VolumesFrom?: string[] | null;
  CgroupParent?: string;
}>;

export interface RestartPolicy {
  Name: string;
  MaximumRetryCount?: number;
}

export interface PortBinding {
  HostIp: string;
  /** Empty where the engine is to choose; `from-to` chooses one of a range. */
  HostPort: string;
}

export type MountSpec = Open<{
  Type: string;
  Source?: string;
  Target: string;
  VolumeOptions?: Open<{ Subpath?: string }>;
}>;

/** What a caller may say of an endpoint. */
export type EndpointConfig = Open<{
  IPAMConfig?: EndpointAddresses | null;
  Links?: string[] | null;
  Aliases?: string[] | null;
  DriverOpts?: Record<string, string> | null;
  MacAddress?: string;
}>;

export interface EndpointAddresses {
  IPv4Address?: string;
  IPv6Address?: string;
  LinkLocalIPs?: string[];
}

/** What the engine says of an endpoint. */
export type Endpoint = Open<
  EndpointConfig & {
    NetworkID: string;
    IPAddress: string;
    GlobalIPv6Address: string;
    MacAddress: string;
    /** From API 1.48 on. */
    GwPriority?: number;
  }
>;

type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export type ContainerInspect = Open<{
  Id: string;
  /** With a leading slash. */
  Name: string;
  /** Id of the image. */
  Image: string;
  State: Open<{
    Status: ContainerStatus;
    Running: boolean;
    Paused: boolean;
    Pid: number;
    ExitCode: number;
    /** RFC 3339; `0001-01-01T00:00:00Z` where it never ran. */
    StartedAt?: string;
    /** Absent or null without a health check; `starting` until its first result counts. */
    Health?: { Status: 'none' | 'starting' | 'healthy' | 'unhealthy' } | null;
  }>;
  Config: ContainerConfig;
  HostConfig: HostConfig;
  GraphDriver?: { Name: string; Data: Record<string, string> | null } | null;
  Mounts: MountPoint[];
  NetworkSettings: Open<{
    Ports: Record<string, PortBinding[] | null> | null;
    Networks: Record<string, Endpoint>;
  }>;
  LogPath: string;
  /** Bytes of the writable layer; only where asked for. */
  SizeRw?: number;
}>;

export type MountPoint = Open<{
  Type: 'bind' | 'volume' | 'tmpfs' | 'image' | 'npipe' | 'cluster';
  Name?: string;
  Source: string;
  Destination: string;
  Driver?: string;
  Mode: string;
  RW: boolean;
  Propagation: string;
}>;

export type ContainerSummary = Open<{
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  State: ContainerStatus;
  NetworkSettings?: { Networks: Record<string, Endpoint> | null };
  Mounts?: { Type: string; Name?: string; Source?: string }[];
  Ports?: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[];
}>;

export type ImageSummary = Open<{ Id: string; RepoTags: string[] | null; RepoDigests: string[] | null }>;

/** `GET /containers/{id}/changes`. */
export interface Change {
  Path: string;
  /** Modified, added or deleted. */
  Kind: 0 | 1 | 2;
}

export type ImageInspect = Open<{
  Id: string;
  Config?: ContainerConfig | null;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  Size: number;
  Architecture: string;
  RootFS: { Type: string; Layers?: string[] };
}>;

export type NetworkInspect = Open<{
  Name: string;
  Id: string;
  Scope: string;
  Driver: string;
  EnableIPv6: boolean;
  /** From API 1.47 on. */
  EnableIPv4?: boolean;
  IPAM: {
    Driver: string;
    Options: Record<string, string> | null;
    Config: Open<{ Subnet?: string; IPRange?: string; Gateway?: string }>[] | null;
  };
  Internal: boolean;
  Attachable: boolean;
  Ingress: boolean;
  ConfigOnly: boolean;
  ConfigFrom: { Network: string };
  Options: Record<string, string> | null;
  Labels: Record<string, string> | null;
  /** By container id; only running containers. */
  Containers?: Record<string, unknown> | null;
}>;

/** `POST /networks/create`. */
export type NetworkCreateBody = Open<{ Name: string; Driver?: string }>;

export type VolumeInspect = Open<{
  Name: string;
  Driver: string;
  Mountpoint: string;
  Scope: string;
  Labels: Record<string, string> | null;
  Options: Record<string, string> | null;
}>;

/** `POST /volumes/create`. */
export interface VolumeCreateBody {
  Name: string;
  Driver: string;
  DriverOpts: Record<string, string> | null;
  Labels: Record<string, string> | null;
}

export type SystemInfo = Open<{
  ServerVersion: string;
  DockerRootDir: string;
  Driver: string;
  DriverStatus: [string, string][] | null;
  CgroupDriver: string;
  CgroupVersion?: string;
  LiveRestoreEnabled: boolean;
  /** From API 1.49 on. */
  FirewallBackend?: { Driver: string };
  SecurityOptions: string[] | null;
  Runtimes: Record<string, Open<{ path?: string; runtimeType?: string }>>;
}>;

export type SystemVersion = Open<{ Version: string; ApiVersion: string; MinAPIVersion?: string }>;
