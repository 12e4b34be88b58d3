/** What the checks of preflight look at. */
import type { HostFacts, WorkloadFacts } from '../../engines/facts.ts';
import type { ContainerInspect, HostConfig, NetworkInspect, VolumeInspect } from '../../tools/docker-types.ts';
import type { MigrateOptions } from '../events.ts';
import type { Exploration } from '../explore.ts';

/** What the source alone can tell of a workload. */
export interface SourceCase {
  workload: WorkloadFacts;
  /** As users know it. */
  name: string;
  container: Container;
  networks: NetworkInspect[];
  volumes: VolumeInspect[];
  source: HostFacts;
  options: MigrateOptions;
}

export interface Case extends SourceCase {
  target: HostFacts;
  /** Absent where nothing was tried. */
  exploration?: Exploration;
}

/** The parts of the engine's description that matter here; what an engine leaves out is empty. */
interface Container {
  hostConfig: HostConfig & {
    Privileged?: boolean;
    Links?: string[] | null;
    LogConfig?: { Type: string };
    Devices?: { PathOnHost: string }[] | null;
    DeviceRequests?: unknown[] | null;
  };
  mounts: ContainerInspect['Mounts'];
  endpoints: ContainerInspect['NetworkSettings']['Networks'];
  execIds: string[];
  appArmorProfile: string;
  inspect: ContainerInspect;
}

export function sourceCase(workload: WorkloadFacts, source: HostFacts, options: MigrateOptions): SourceCase {
  return {
    workload,
    name: workload.ref.name,
    container: containerOf(workload.inspect as Partial<ContainerInspect>),
    networks: Object.values(workload.networks) as NetworkInspect[],
    volumes: Object.values(workload.volumes) as VolumeInspect[],
    source,
    options,
  };
}

function containerOf(inspect: Partial<ContainerInspect>): Container {
  const { ExecIDs, AppArmorProfile } = inspect as { ExecIDs?: string[] | null; AppArmorProfile?: string };
  const whole = {
    ...inspect,
    HostConfig: inspect.HostConfig ?? {},
    Mounts: inspect.Mounts ?? [],
    NetworkSettings: { Ports: null, Networks: {}, ...inspect.NetworkSettings },
  } as ContainerInspect;
  return {
    hostConfig: whole.HostConfig as Container['hostConfig'],
    mounts: whole.Mounts,
    endpoints: whole.NetworkSettings.Networks,
    execIds: ExecIDs ?? [],
    appArmorProfile: AppArmorProfile ?? '',
    inspect: whole,
  };
}
