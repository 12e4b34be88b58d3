/**
 * Pure: how to create a container's copy on another host so that everything that `docker inspect` of the copy can
 * show equal is equal. What cannot is in differs.ts.
 */
import { compareApi } from '../../tools/docker-connection.ts';
import type {
  ContainerConfig,
  ContainerCreateBody,
  ContainerInspect,
  EndpointConfig,
  HostConfig,
  NetworkCreateBody,
  NetworkInspect,
  RestartPolicy,
  VolumeCreateBody,
  VolumeInspect,
} from '../../tools/docker-types.ts';
import { parentOf } from '../../traffic/own-device.ts';
import type { HostFacts, WorkloadFacts } from '../facts.ts';
import { cloneEndpoint, type EndpointTarget } from './clone-endpoint.ts';
import { cloneMounts } from './clone-mounts.ts';
import { pinPorts } from './clone-ports.ts';
import { planImage } from './image-plan.ts';

export interface CloneSpec {
  /** For `createCopy`. Networks, volumes and the image must be there beforehand. */
  createBody: ContainerCreateBody;
  /** To be given after the commit; until then nothing but drayage may start the copy. */
  restartPolicy: RestartPolicy;
  /** User-defined networks that the target lacks. */
  networks: NetworkCreateBody[];
  /** Endpoints to connect after the create, before the start. */
  moreEndpoints: { network: string; endpoint: EndpointConfig }[];
  /** Volumes that the target lacks; an anonymous one keeps its name of 64 hex digits. */
  volumes: VolumeCreateBody[];
  /**
   * Paths on the target that bind mounts take their content from. Those that are not carried must exist there when the
   * copy is created: the engine makes an empty directory where a path of `Binds` is missing.
   */
  bindSources: { path: string; carried: boolean }[];
}

export interface CloneOptions {
  carryBinds: boolean;
  /** Devices of the target that networks hang on there, by the networks' names; else those of the source. */
  parents?: Readonly<Record<string, string>>;
}

/** Name of drayage's runtime in the target's daemon.json. */
export const RUNTIME = 'drayage';

/** First API that creates a container with several endpoints, and with a MAC address for each. */
const MANY_ENDPOINTS_API = '1.44';

/**
 * The configuration that inspect shows is merged with the image's; given back whole, the image adds nothing to it.
 *
 * `AutoRemove` is kept. So the engine deletes the copy by itself when it ends: also where its start fails, which is
 * what an undo wants anyway. The source deletes its own copy when it is killed after the commit: there is nothing to
 * rename then. The anonymous volumes of the copy have been given names, so they outlive it.
 */
export function cloneSpec(
  facts: WorkloadFacts,
  target: HostFacts,
  { carryBinds, parents = {} }: CloneOptions,
): CloneSpec {
  const inspect = facts.inspect as ContainerInspect;
  const api = target.docker?.api ?? MANY_ENDPOINTS_API;
  const main = networkNamed(inspect.HostConfig.NetworkMode ?? 'default', facts);
  const endpoints = new Map(
    Object.keys(inspect.NetworkSettings.Networks)
      .filter((network) => network !== 'host' && network !== 'none')
      .map((network) => [
        network,
        cloneEndpoint(inspect, network, {
          isMain: network === main,
          isOwn: parentOf((facts.networks as Record<string, NetworkInspect>)[network]) !== undefined,
          target: endpointTarget(target, network),
        }),
      ]),
  );
  const many = compareApi(api, MANY_ENDPOINTS_API) >= 0;
  const atCreate = [...endpoints].filter(([network]) => many || network === main);
  const hostConfig = cloneHostConfig(inspect, main);
  return {
    createBody: {
      ...cloneConfig(
        inspect,
        planImage(facts.image, target).reference,
        many ? undefined : endpoints.get(main)?.MacAddress,
      ),
      HostConfig: hostConfig,
      NetworkingConfig: { EndpointsConfig: Object.fromEntries(atCreate) },
    },
    restartPolicy: inspect.HostConfig.RestartPolicy ?? { Name: 'no', MaximumRetryCount: 0 },
    networks: missing(
      facts.networks as Record<string, NetworkInspect>,
      target.docker?.networks.map(({ name }) => name),
    ).map((network) => cloneNetwork(network, parents[network.Name])),
    moreEndpoints: [...endpoints]
      .filter(([network]) => !many && network !== main)
      .map(([network, endpoint]) => ({ network, endpoint })),
    volumes: missing(facts.volumes as Record<string, VolumeInspect>, target.docker?.volumes).map(cloneVolume),
    bindSources: inspect.Mounts.filter(({ Type }) => Type === 'bind').map(({ Source }) => ({
      path: Source,
      carried: carryBinds,
    })),
  };
}

function endpointTarget({ docker }: HostFacts, network: string): EndpointTarget {
  return {
    api: docker?.api ?? MANY_ENDPOINTS_API,
    subnets: docker?.networks.find(({ name }) => name === network)?.subnets,
  };
}

function cloneConfig(inspect: ContainerInspect, image: string, mainMac: string | undefined): ContainerConfig {
  const { MacAddress: _, ...config } = inspect.Config;
  const { NetworkMode = '', UTSMode } = inspect.HostConfig;
  const joinsNetwork = NetworkMode.startsWith('container:');
  // The engine refuses what it filled in by itself: the host's name or that of the joined container, the image's ports.
  if (joinsNetwork || UTSMode === 'host') delete config.Hostname;
  if (joinsNetwork) delete config.ExposedPorts;
  return {
    ...config,
    // [""] says that there is none; null would bring back an entrypoint of the image that the user had cleared.
    Entrypoint: config.Entrypoint ?? [''],
    Image: image,
    // Before API 1.44 the container, not an endpoint, has a MAC address.
    ...(mainMac === undefined ? {} : { MacAddress: mainMac }),
  };
}

function cloneHostConfig(inspect: ContainerInspect, main: string): HostConfig {
  return {
    ...inspect.HostConfig,
    ...cloneMounts(inspect),
    NetworkMode: main,
    PortBindings: pinPorts(inspect),
    Runtime: RUNTIME,
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  };
}

/** Ids of networks differ between hosts: a network mode that is one becomes the name. */
function networkNamed(mode: string, facts: WorkloadFacts): string {
  if (mode === 'default') return 'bridge';
  const networks = Object.values(facts.networks) as NetworkInspect[];
  if (networks.some(({ Name }) => Name === mode)) return mode;
  return networks.find(({ Id }) => mode.length >= 12 && Id.startsWith(mode))?.Name ?? mode;
}

function missing<T>(wanted: Record<string, T>, there: readonly string[] = []): T[] {
  return Object.entries(wanted).flatMap(([name, thing]) => (there.includes(name) ? [] : [thing]));
}

/** With the subnet that the source's engine chose, so that addresses can be pinned. */
function cloneNetwork(network: NetworkInspect, parent: string | undefined): NetworkCreateBody {
  const { Name, Driver, EnableIPv4, EnableIPv6, IPAM, Internal, Attachable, ConfigOnly, ConfigFrom, Options, Labels } =
    network;
  return {
    Name,
    Driver,
    ...(EnableIPv4 === undefined ? {} : { EnableIPv4 }),
    EnableIPv6,
    IPAM,
    Internal,
    Attachable,
    ConfigOnly,
    ...(ConfigFrom.Network === '' ? {} : { ConfigFrom }),
    Options: { ...Options, ...(parent === undefined ? {} : { parent }) },
    Labels: Labels ?? {},
  };
}

function cloneVolume({ Name, Driver, Options, Labels }: VolumeInspect): VolumeCreateBody {
  return { Name, Driver, DriverOpts: Options, Labels };
}
