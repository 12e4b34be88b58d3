/** Pure: published ports of the copy. */
import type { ContainerInspect, PortBinding } from '../../tools/docker-types.ts';

/**
 * The port bindings, with the host ports that the engine chose on the source (`-p 80`, `-P`, ranges) written in:
 * clients know the container by them.
 */
export function pinPorts({
  HostConfig: { PortBindings, PublishAllPorts },
  NetworkSettings,
}: ContainerInspect): Record<string, PortBinding[] | null> | null {
  const actual = NetworkSettings.Ports ?? {};
  const pinned = Object.entries(PortBindings ?? {}).map(
    ([port, bindings]) => [port, pinAll(bindings ?? [], actual[port] ?? [])] as const,
  );
  const published = PublishAllPorts ? Object.keys(actual).filter((port) => PortBindings?.[port] === undefined) : [];
  const exposed = published.map((port) => [port, pinAll([ANYWHERE], actual[port] ?? [])] as const);
  return PortBindings === null && exposed.length === 0 ? null : Object.fromEntries([...pinned, ...exposed]);
}

/** A binding without an address listens on all of IPv4, and on all of IPv6 where the host has any. */
const ANYWHERE: PortBinding = { HostIp: '', HostPort: '' };
const WILDCARDS = ['0.0.0.0', '::'];

function pinAll(bindings: readonly PortBinding[], actual: readonly PortBinding[]): PortBinding[] {
  const fixed = new Set(bindings.filter(isFixed).map(({ HostPort }) => HostPort));
  const chosen = actual.filter(({ HostPort }) => !fixed.has(HostPort));
  const take = (ip: string): PortBinding[] => {
    const index = chosen.findIndex(({ HostIp }) => HostIp === ip);
    return index < 0 ? [] : chosen.splice(index, 1);
  };
  return bindings.flatMap((binding) => {
    if (isFixed(binding)) return [binding];
    const found = binding.HostIp === '' ? WILDCARDS.flatMap(take) : take(binding.HostIp);
    const [first, second = first] = found;
    if (first === undefined) return [binding];
    // Docker before 28 may choose a port for IPv6 that is not that for IPv4: these are two bindings then.
    return first.HostPort === second?.HostPort ? [{ ...binding, HostPort: first.HostPort }] : found;
  });
}

function isFixed({ HostPort }: PortBinding): boolean {
  return /^\d+$/.test(HostPort);
}
