/** What `docker inspect` of a copy shows otherwise than that of its original, and why. */
import type { ContainerInspect } from '../../tools/docker-types.ts';
import type { Exception } from './compare.ts';

const missing = (a: unknown): boolean => a === undefined || a === null;

/** Where `only` is given, the field may differ in that way and in no other. */
export const DIFFERS: readonly (Exception & { why: string })[] = [
  { path: 'Id', why: 'each engine gives its own' },
  { path: 'Created', why: 'the copy was created later' },
  { path: 'State.Pid', why: 'pids of the host; those inside the container are kept' },
  { path: 'State.StartedAt', why: 'the copy was started later' },
  { path: 'State.FinishedAt', why: "an earlier run's end, which the copy never had" },
  { path: 'State.ExitCode', why: "an earlier run's end, which the copy never had" },
  { path: 'State.OOMKilled', why: 'an earlier event, which the copy never had' },
  { path: 'State.Error', why: 'an earlier event, which the copy never had' },
  { path: 'State.Health', why: 'health checks begin anew with the first check' },
  { path: 'RestartCount', why: 'restarts by the restart policy are counted by each engine' },
  { path: 'ExecIDs', why: 'exec sessions do not move' },
  { path: 'ResolvConfPath', why: 'lies in a directory named by the id' },
  { path: 'HostnamePath', why: 'lies in a directory named by the id' },
  { path: 'HostsPath', why: 'lies in a directory named by the id' },
  { path: 'LogPath', why: 'lies in a directory named by the id' },
  { path: 'GraphDriver.Data', why: 'directories of the writable layer and of the layers below it' },
  { path: 'Storage', why: 'directories of the writable layer and of the layers below it' },
  { path: 'SizeRw', why: 'what the container wrote is counted by each engine' },
  { path: 'AppArmorProfile', why: 'as the host has AppArmor or not' },
  { path: 'MountLabel', why: 'SELinux gives every container a level of its own' },
  { path: 'ProcessLabel', why: 'SELinux gives every container a level of its own' },
  {
    path: 'Config.Image',
    why: 'the id, where the tag names another image on the target',
    only: (_, b) => /^sha256:/.test(String(b)),
  },
  {
    path: 'Config.Hostname',
    why: "with the host's UTS namespace it is the host's",
    only: (_a, _b, original) => (original as ContainerInspect).HostConfig.UTSMode === 'host',
  },
  { path: 'Config.MacAddress', why: 'a generated MAC address is pinned', only: missing },
  { path: 'HostConfig.Runtime', why: 'the copy is restored by a runtime of drayage in front of runc' },
  { path: 'HostConfig.Binds', why: 'anonymous volumes are named in the copy', only: missing },
  { path: 'HostConfig.Binds.*', why: 'anonymous volumes are named in the copy', only: missing },
  { path: 'HostConfig.Mounts.*.Source', why: 'anonymous volumes are named in the copy', only: missing },
  {
    path: 'HostConfig.VolumesFrom',
    why: 'what came from another container is mounted by itself',
    only: (_, b) => b === null,
  },
  { path: 'HostConfig.PortBindings.*', why: 'ports that --publish-all chose are pinned', only: missing },
  {
    path: 'HostConfig.PortBindings.*.*',
    why: 'where the engine chose another port for IPv6 than for IPv4, each has a binding of its own',
    only: missing,
  },
  {
    path: 'HostConfig.PortBindings.*.*.HostIp',
    why: 'where the engine chose another port for IPv6 than for IPv4, each has a binding of its own',
    only: (a, b) => a === '' && b === '0.0.0.0',
  },
  {
    path: 'HostConfig.PortBindings.*.*.HostPort',
    why: 'a port that the engine chose is pinned',
    only: (a) => !/^\d+$/.test(String(a)),
  },
  {
    path: 'HostConfig.NetworkMode',
    why: 'a network that was named by its id is named by its name',
    only: (a, b) => a === 'default' || /^[0-9a-f]{12,64}$/.test(String(a)) || b === 'bridge',
  },
  {
    path: 'Mounts.*.Mode',
    why: 'what was an anonymous volume or came from another container is a bind; RW and Propagation are equal',
    only: (a) => a === '',
  },
  { path: 'Mounts.*.Source', why: "lies below the engine's own directory" },
  { path: 'NetworkSettings.SandboxID', why: 'each engine gives its own' },
  { path: 'NetworkSettings.SandboxKey', why: 'each engine gives its own' },
  { path: 'NetworkSettings.Networks.*.NetworkID', why: 'each engine gives its own' },
  { path: 'NetworkSettings.Networks.*.EndpointID', why: 'each engine gives its own' },
  {
    path: 'NetworkSettings.Networks.*.GwPriority',
    why: 'Docker before 28 knows of none, which is 0',
    only: (a, b) => !a && !b,
  },
  { path: 'NetworkSettings.Networks.*.IPAMConfig', why: 'an address that the engine chose is pinned', only: missing },
  { path: 'NetworkSettings.Networks.*.IPAMConfig.*', why: 'an address that the engine chose is pinned', only: missing },
  {
    path: 'NetworkSettings.Networks.*.DNSNames.*',
    why: 'the short id is one of them',
    only: (a, b) => (missing(a) || isShortId(a)) && isShortId(b),
  },
  {
    path: 'NetworkSettings.Networks.*.Aliases.*',
    why: 'the short id is one of them before API 1.45',
    only: (a, b) => (missing(a) || isShortId(a)) && isShortId(b),
  },
  ...[
    'EndpointID',
    'Gateway',
    'GlobalIPv6Address',
    'GlobalIPv6PrefixLen',
    'IPAddress',
    'IPPrefixLen',
    'IPv6Gateway',
    'MacAddress',
  ].flatMap((field) => [
    { path: `NetworkSettings.${field}`, why: 'the default bridge takes no fixed addresses' },
    { path: `NetworkSettings.Networks.bridge.${field}`, why: 'the default bridge takes no fixed addresses' },
  ]),
];

function isShortId(name: unknown): boolean {
  return typeof name === 'string' && /^[0-9a-f]{12}$/.test(name);
}
