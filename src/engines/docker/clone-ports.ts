/** Pure: published ports of the copy. */
import type { ContainerInspect, PortBinding } from '../../tools/docker-types.ts';

/**
 * The port bindings, with the host ports that the engine chose on the source (`-p 80`, `-P`, ranges) written in: clients
 * know the container by them.
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
  const exposed = published.flatMap((port) => {
    const [first] = actual[port] ?? [];
    return first === undefined ? [] : [[port, [{ HostIp: '', HostPort: first.HostPort }]] as const];
  });
  if (pinned.length + exposed.length === 0) return PortBindings ?? null;
  return Object.fromEntries([...pinned, ...exposed]);
}

function pinAll(bindings: readonly PortBinding[], actual: readonly PortBinding[]): PortBinding[] {
  const taken = new Set(bindings.filter(isFixed).map(({ HostPort }) => HostPort));
  return bindings.map((binding) => {
    if (isFixed(binding)) return binding;
    const chosen = actual.find(({ HostIp, HostPort }) => !taken.has(HostPort) && listensFor(HostIp, binding.HostIp));
    if (chosen === undefined) return binding;
    taken.add(chosen.HostPort);
    return { ...binding, HostPort: chosen.HostPort };
  });
}

function isFixed({ HostPort }: PortBinding): boolean {
  return /^\d+$/.test(HostPort);
}

/** A binding without an address listens on all of IPv4, and on all of IPv6 where there is any. */
function listensFor(actualIp: string, wantedIp: string): boolean {
  return wantedIp === '' ? actualIp === '0.0.0.0' || actualIp === '::' : actualIp === wantedIp;
}
