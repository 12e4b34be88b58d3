/** Names, networks, volumes and tags of the workload that may be taken on the target. */
import { familiarTag } from '../../engines/docker/image-plan.ts';
import type { HostFacts } from '../../engines/facts.ts';
import type { NetworkInspect } from '../../tools/docker-types.ts';
import { parentOf } from '../../traffic/own-device.ts';
import type { Finding } from '../finding.ts';
import type { Case, SourceCase } from './case.ts';
import { type Entry, raising } from './finding-table.ts';
import { overlaps } from './subnets.ts';

/** What already the source tells. */
export function checkBelongings(c: SourceCase): Finding[] {
  return [...networkDriverFindings(c), ...volumeDriverFindings(c), ...volumeUserFindings(c)];
}

export function checkNames(c: Case): Finding[] {
  if (c.target.docker === null) return [];
  const docker = c.target.docker;
  return [
    ...nameFindings(c, docker),
    ...c.networks.flatMap((network) => networkFindings(c, docker, network)),
    ...volumeFindings(c, docker),
    ...imageFindings(c, docker),
  ];
}

export const NAME_FINDINGS = {
  NAME_TAKEN: {
    severity: 'blocks',
    meaning: 'The copy gets the same name, and an engine has each name once.',
    remedy: 'Rename or remove the container there (docker rename, docker rm).',
  },
  NETWORK_DRIVER: {
    severity: 'blocks',
    meaning:
      'Only bridge and macvlan networks can be made on the target as they are here (macvlan with a parent, and not in passthru mode); others hang on hardware or on a cluster.',
    remedy:
      'Take the container off that network (docker network disconnect), or move it by stopping it here and starting it there.',
  },
  NETWORK_DIFFERS: {
    severity: 'blocks',
    meaning: 'The container keeps its address, which that network does not have.',
    remedy: 'Remove or rename that network on the target if it is not needed; drayage makes one like the one here.',
  },
  NETWORK_SHARED: {
    severity: 'note',
    meaning:
      'The container keeps its address. If another one has it there, the copy cannot be created, and nothing has happened.',
    remedy: 'See docker network inspect on the target.',
  },
  SUBNET_TAKEN: {
    severity: 'blocks',
    meaning: 'The network is to be made on the target with the same addresses, which lead elsewhere there.',
    remedy: 'Remove what has that subnet there, or put the container on a network with another subnet.',
  },
  VOLUME_EXISTS: {
    severity: 'blocks',
    meaning: 'Its content would be overwritten.',
    remedy:
      'Remove it on the target (docker volume rm) if nothing needs it, as where an earlier copy of this container left it.',
  },
  VOLUME_OF_KEPT_COPY: {
    severity: 'note',
    meaning:
      'An earlier migration left it with the stopped copy there. It is brought up to date, and that copy gets it, too.',
    remedy: 'To keep it as it was then, copy it to another volume first.',
  },
  VOLUME_SHARED: {
    severity: 'costs',
    meaning: 'After the move each of them has a volume of its own, and what one writes the others do not see any more.',
    remedy: 'Move the others, too, right after; or let them share the data by a service instead of a volume.',
  },
  VOLUME_DRIVER: {
    severity: 'blocks',
    meaning: 'Where another driver keeps the content is not known, and it may be storage that both hosts share.',
    remedy: 'Move the content to a volume of the driver local.',
  },
  VOLUME_OPTIONS: {
    severity: 'blocks',
    meaning:
      'It is a mount of something else (NFS, a device, another directory), which must not be copied onto itself.',
    remedy: 'Mount it on both hosts and give it to the container as a bind mount, or use a plain volume.',
  },
  IMAGE_GONE: {
    severity: 'blocks',
    meaning: 'Its image was removed while it runs (docker rmi --force), and cannot be given to the target any more.',
    remedy: 'Pull or load the same image again, on either host.',
  },
  IMAGE_TAG_ELSEWHERE: {
    severity: 'note',
    meaning:
      "The target's tag is left as it is; the copy is created by the image's id, which docker ps shows in its place.",
    remedy: 'Nothing is to be done.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(NAME_FINDINGS);

type Docker = NonNullable<HostFacts['docker']>;

function networkDriverFindings({ networks, name }: SourceCase): Finding[] {
  return networks
    .filter((network) => network.Driver !== 'bridge' && parentOf(network) === undefined)
    .map(({ Name, Driver }) =>
      raise('NETWORK_DRIVER', `${name} is on the network ${Name}, which is of the kind ${Driver}.`),
    );
}

function volumeDriverFindings({ volumes }: SourceCase): Finding[] {
  return volumes.flatMap(({ Name, Driver, Options }) => {
    if (Driver !== 'local') return [raise('VOLUME_DRIVER', `The volume ${Name} is kept by the driver ${Driver}.`)];
    const options = Object.entries(Options ?? {}).map(([key, value]) => `${key}=${value}`);
    return options.length === 0
      ? []
      : [raise('VOLUME_OPTIONS', `The volume ${Name} has options: ${options.join(' ')}.`)];
  });
}

function volumeUserFindings({ workload: { volumeUsers = {} } }: SourceCase): Finding[] {
  return Object.entries(volumeUsers).map(([volume, users]) =>
    raise('VOLUME_SHARED', `The volume ${volume} is used by ${users.join(', ')} as well.`),
  );
}

function nameFindings({ name, target }: Case, docker: Docker): Finding[] {
  if (!docker.names.includes(name)) return [];
  return [raise('NAME_TAKEN', `${target.hostname} has a container ${name} already.`)];
}

function networkFindings({ target, name }: Case, docker: Docker, network: NetworkInspect): Finding[] {
  const subnets = subnetsOf(network);
  const there = docker.networks.find((one) => one.name === network.Name);
  if (there !== undefined) {
    const same = there.driver === network.Driver && sameSet(there.subnets, subnets);
    if (!same) {
      const differs = `The network ${network.Name} is ${describe(there.driver, there.subnets)} on ${target.hostname}, ${describe(network.Driver, subnets)} here.`;
      return [raise('NETWORK_DIFFERS', differs)];
    }
    if (there.containers === 0) return [];
    return [
      raise(
        'NETWORK_SHARED',
        `${name} joins ${there.containers === 1 ? 'another container' : `${there.containers} other containers`} on the network ${network.Name} of ${target.hostname}.`,
      ),
    ];
  }
  const others = [
    ...docker.networks.flatMap((one) => one.subnets.map((subnet) => ({ subnet, owner: `the network ${one.name}` }))),
    // A LAN is where it is: both hosts have routes to it.
    ...(parentOf(network) === undefined ? target.subnets : []).map((subnet) => ({ subnet, owner: 'a route' })),
  ];
  return subnets.flatMap((subnet) => {
    const clash = others.find((other) => overlaps(subnet, other.subnet));
    if (clash === undefined) return [];
    return [
      raise(
        'SUBNET_TAKEN',
        `${subnet} of the network ${network.Name} overlaps with ${clash.owner} (${clash.subnet}) on ${target.hostname}.`,
      ),
    ];
  });
}

function volumeFindings({ volumes, target }: Case, docker: Docker): Finding[] {
  return volumes
    .filter(({ Name }) => docker.volumes.includes(Name))
    .map(({ Name }) =>
      docker.keptVolumes.includes(Name)
        ? raise('VOLUME_OF_KEPT_COPY', `${target.hostname} has volume ${Name} from an earlier migration.`)
        : raise('VOLUME_EXISTS', `${target.hostname} has a volume ${Name} already.`),
    );
}

function imageFindings({ workload: { image }, name, target }: Case, docker: Docker): Finding[] {
  if (docker.images.some(({ id }) => id === image.id)) return tagFindings(image, target, docker);
  if (image.layers.length === 0) return [raise('IMAGE_GONE', `The image of ${name} (${image.reference}) is gone.`)];
  return tagFindings(image, target, docker);
}

function tagFindings(image: Case['workload']['image'], target: HostFacts, docker: Docker): Finding[] {
  const tag = familiarTag(image.reference);
  const other = docker.images.find(({ id, tags }) => id !== image.id && tags.includes(tag));
  if (other === undefined) return [];
  return [raise('IMAGE_TAG_ELSEWHERE', `${tag} names another image on ${target.hostname}.`)];
}

function subnetsOf(network: NetworkInspect): string[] {
  return (network.IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet]));
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

function describe(driver: string, subnets: readonly string[]): string {
  return `${driver} ${subnets.join(' and ') || 'without a subnet'}`;
}
