/** Whether the ports that the workload publishes are free on the target, and the addresses there that it publishes them at. */
import { pinPorts } from '../../engines/docker/clone-ports.ts';
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export function checkPorts(c: Case): Finding[] {
  return c.target.docker === null ? [] : [...portFindings(c, c.target.docker), ...hostAddressFindings(c)];
}

export const PORT_FINDINGS = {
  PORT_TAKEN: {
    severity: 'blocks',
    meaning: 'The copy publishes the same ports, and could not start.',
    remedy: 'Stop what listens there (ss -tulpn tells), or publish another port.',
  },
  HOST_ADDRESS_MISSING: {
    severity: 'blocks',
    meaning: 'The copy publishes its ports as the container does, and Docker could not start it there.',
    remedy: 'Give the target that address, or publish the port at all of them (without an address).',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(PORT_FINDINGS);

const WILDCARDS = ['', '0.0.0.0', '::'];

function portFindings(c: Case, docker: NonNullable<Case['target']['docker']>): Finding[] {
  const { target } = c;
  const taken = wantedPorts(c)
    // Empty or a range: the engine chooses a free one.
    .filter(({ HostPort }) => /^\d+$/.test(HostPort))
    .filter(({ protocol, HostIp, HostPort }) =>
      [...target.listening, ...docker.published].some((socket) => clashes(socket, protocol, HostIp, HostPort)),
    )
    .map(({ protocol, HostPort }) => `${HostPort}/${protocol}`);
  if (taken.length === 0) return [];
  const ports = [...new Set(taken)];
  return [raise('PORT_TAKEN', `Port ${ports.join(', ')} is in use on ${target.hostname}.`)];
}

/** @param socket `tcp/0.0.0.0:80` */
function clashes(socket: string, protocol: string, ip: string, port: string): boolean {
  const [, its, host = '', itsPort] = /^(\w+)\/(.*):(\d+)$/.exec(socket) ?? [];
  if (its !== protocol || itsPort !== port) return false;
  const address = host.replace(/^\[|\]$/g, '');
  return WILDCARDS.includes(ip) || WILDCARDS.includes(address) || ip === address;
}

function hostAddressFindings(c: Case): Finding[] {
  if (c.target.traffic === undefined) return [];
  const own = c.target.traffic.network.devices.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  const wanted = new Set(wantedPorts(c).map(({ HostIp }) => HostIp));
  const missing = [...wanted].filter((ip) => !WILDCARDS.includes(ip) && !isLoopback(ip) && !own.includes(ip));
  return missing.map((ip) =>
    raise('HOST_ADDRESS_MISSING', `${c.name} publishes a port at ${ip}, which ${c.target.hostname} does not have.`),
  );
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1';
}

interface Wanted {
  protocol: string;
  HostIp: string;
  HostPort: string;
}

function wantedPorts({ container }: Case): Wanted[] {
  return Object.entries(pinPorts(container.inspect) ?? {}).flatMap(([port, bindings]) =>
    (bindings ?? []).map(({ HostIp, HostPort }) => ({ protocol: port.split('/')[1] ?? 'tcp', HostIp, HostPort })),
  );
}
