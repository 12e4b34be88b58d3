/** ip of iproute2: devices, addresses and routes of a network namespace, read and changed. */
import { ProgramError, type Run } from '../exec/run.ts';

export interface Device {
  index: number;
  name: string;
  /** `02:42:ac:1e:00:01`; empty where it has none. */
  mac: string;
  mtu: number;
  up: boolean;
  /** `bridge`, `veth`, `vxlan`; empty for real ones. */
  kind: string;
  /** The bridge or bond that it is a port of. */
  master?: string;
  addresses: { address: string; prefix: number; scope: string }[];
}

export interface Route {
  /** `10.0.0.0/8`, hosts with their full length; `default` is `0.0.0.0/0` or `::/0`. */
  to: string;
  device: string;
  via?: string;
  metric: number;
}

export interface Network {
  devices: Device[];
  routes: Route[];
}

/** What this network namespace has, of IPv4 and IPv6; routes of the main table. */
export async function readNetwork(run: Run): Promise<Network> {
  const ip = async (...args: string[]): Promise<string> => (await run('ip', ['-json', ...args], LIMIT)).stdout;
  const [devices, v4, v6] = await Promise.all([
    ip('-details', 'address', 'show'),
    ip('-4', 'route', 'show'),
    // Fails in a kernel without IPv6.
    ip('-6', 'route', 'show').catch(() => ''),
  ]);
  return { devices: parseDevices(devices), routes: [...parseRouteTable(v4, 32), ...parseRouteTable(v6, 128)] };
}

const LIMIT = { timeoutMs: 20_000 };

interface JsonDevice {
  ifindex: number;
  ifname?: string;
  address?: string;
  mtu: number;
  flags: string[];
  master?: string;
  linkinfo?: { info_kind?: string };
  addr_info?: { local?: string; prefixlen: number; scope: string }[];
}

export function parseDevices(text: string): Device[] {
  return (JSON.parse(text) as JsonDevice[]).flatMap((device) =>
    device.ifname === undefined
      ? []
      : [
          {
            index: device.ifindex,
            name: device.ifname,
            mac: device.address ?? '',
            mtu: device.mtu,
            up: device.flags.includes('UP'),
            kind: device.linkinfo?.info_kind ?? '',
            ...(device.master === undefined ? {} : { master: device.master }),
            addresses: (device.addr_info ?? []).flatMap(({ local, prefixlen, scope }) =>
              local === undefined ? [] : [{ address: local, prefix: prefixlen, scope }],
            ),
          },
        ],
  );
}

interface JsonRoute {
  dst: string;
  dev?: string;
  gateway?: string;
  via?: { host: string };
  metric?: number;
  type?: string;
  nexthops?: { gateway?: string; dev: string }[];
}

/** Of several next hops the first is taken; routes that lead nowhere are left out. */
export function parseRouteTable(text: string, bits: 32 | 128): Route[] {
  if (text.trim() === '') return [];
  return (JSON.parse(text) as JsonRoute[]).flatMap((route) => {
    const hop = route.nexthops?.[0] ?? route;
    if (hop.dev === undefined || hop.dev === 'lo' || (route.type ?? 'unicast') !== 'unicast') return [];
    const to = route.dst === 'default' ? `${bits === 32 ? '0.0.0.0' : '::'}/0` : route.dst;
    const gateway = hop.gateway ?? route.via?.host;
    return [
      {
        to: to.includes('/') ? to : `${to}/${bits}`,
        device: hop.dev,
        ...(gateway === undefined ? {} : { via: gateway }),
        metric: route.metric ?? 0,
      },
    ];
  });
}

export interface Neighbour {
  address: string;
  device: string;
  /** Absent where nobody has answered. */
  mac?: string;
  /** `REACHABLE`, `PERMANENT`, `INCOMPLETE` … */
  state: string;
}

/** Of IPv4 and IPv6. */
export async function readNeighbours(run: Run): Promise<Neighbour[]> {
  return parseNeighbours((await run('ip', ['-json', 'neighbour', 'show', 'nud', 'all'], LIMIT)).stdout);
}

/** `[{"dst":"10.0.0.2","dev":"eth0","lladdr":"02:…","state":["REACHABLE"]}]` */
export function parseNeighbours(text: string): Neighbour[] {
  if (text.trim() === '') return [];
  const entries = JSON.parse(text) as { dst: string; dev: string; lladdr?: string; state?: string[] }[];
  return entries.map(({ dst, dev, lladdr, state = [] }) => ({
    address: dst,
    device: dev,
    ...(lladdr === undefined ? {} : { mac: lladdr }),
    state: state[0] ?? '',
  }));
}

/** Carries out commands as `ip -batch` reads them, up to the first that fails. @throws ProgramError */
export async function applyIp(run: Run, commands: readonly (readonly string[])[]): Promise<void> {
  if (commands.length === 0) return;
  await run('ip', ['-batch', '-'], { ...LIMIT, input: commands.map((words) => `${words.join(' ')}\n`).join('') });
}

/** Removes devices (with a veth, its other end); no error for those that are not there. */
export async function deleteDevices(run: Run, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const input = names.map((name) => `link delete dev ${name}\n`).join('');
  try {
    await run('ip', ['-force', '-batch', '-'], { ...LIMIT, input });
  } catch (error) {
    if (!(error instanceof ProgramError) || error.exitCode === null) throw error;
    if (/(?:not permitted|busy)/i.test(error.stderr)) throw error;
  }
}

/** Sets kernel parameters, `net.ipv4.conf.eth0.proxy_arp`; dots in a device's name are not allowed for. */
export async function setSysctls(run: Run, values: Readonly<Record<string, string>>): Promise<void> {
  const args = Object.entries(values).map(([key, value]) => `${key}=${value}`);
  await run('sysctl', ['--quiet', '--ignore', '--write', ...args], LIMIT);
}

/** Kernel parameters as they are; those that the kernel does not have are left out. */
export async function readSysctls(run: Run, keys: readonly string[]): Promise<Record<string, string>> {
  const { stdout } = await run('sysctl', ['--ignore', ...keys], { ...LIMIT, okCodes: [0, 255] });
  return Object.fromEntries([...stdout.matchAll(/^(\S+) = (.*)$/gm)].map(([, key, value]) => [key, value]));
}
