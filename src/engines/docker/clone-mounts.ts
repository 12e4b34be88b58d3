/** Pure: mounts of the copy, each with the same source as on the original. */
import { posix } from 'node:path';
import type { ContainerInspect, HostConfig, MountPoint, MountSpec } from '../../tools/docker-types.ts';

/**
 * `Binds` and `Mounts` as they are, except that an anonymous volume is named, and that what came from an image's
 * volumes or from another container (`--volumes-from`, which need not be on the target) is written out as a bind.
 */
export function cloneMounts({
  HostConfig,
  Mounts,
}: ContainerInspect): Pick<HostConfig, 'Binds' | 'Mounts' | 'VolumesFrom'> {
  const mounted = new Map(Mounts.map((mount) => [normal(mount.Destination), mount]));
  const binds = (HostConfig.Binds ?? []).filter((bind) => bindDestination(bind) !== undefined);
  const specs = (HostConfig.Mounts ?? []).map((spec) => named(spec, mounted.get(normal(spec.Target))));
  const covered = new Set([
    ...binds.map((bind) => bindDestination(bind)),
    ...specs.map(({ Target }) => normal(Target)),
  ]);
  const others = Mounts.filter(
    ({ Type, Destination }) => (Type === 'volume' || Type === 'bind') && !covered.has(normal(Destination)),
  );
  const all = [...binds, ...others.map(asBind).sort()];
  return {
    Binds: all.length === 0 ? (HostConfig.Binds ?? null) : all,
    ...(HostConfig.Mounts === undefined ? {} : { Mounts: HostConfig.Mounts === null ? null : specs }),
    VolumesFrom: null,
  };
}

function named(spec: MountSpec, mount: MountPoint | undefined): MountSpec {
  if (spec.Type !== 'volume' || spec.Source || mount?.Name === undefined) return spec;
  return { ...spec, Source: mount.Name };
}

function asBind({ Type, Name, Source, Destination, Mode, RW, Propagation }: MountPoint): string {
  const modes = new Set(Mode.split(',').filter((mode) => mode !== ''));
  if (!RW) modes.add('ro');
  if (Type === 'bind' && Propagation !== '' && Propagation !== 'rprivate') modes.add(Propagation);
  return [
    Type === 'volume' && Name ? Name : Source,
    Destination,
    ...(modes.size > 0 ? [[...modes].join(',')] : []),
  ].join(':');
}

/** Undefined for a bind that is a destination only: the API's other way to write an anonymous volume. */
function bindDestination(bind: string): string | undefined {
  const destination = bind.split(':')[1];
  return destination === undefined ? undefined : normal(destination);
}

function normal(path: string): string {
  return posix.join('/', path, '.').replace(/(.)\/$/, '$1');
}
