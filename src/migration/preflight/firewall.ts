/** What Docker itself needs of the target's packet filter to connect the copy. */
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { type Entry, raising } from './finding-table.ts';

export function checkFirewall({ container, name, target }: Case): Finding[] {
  const isConnected = !['none', 'host'].includes(container.hostConfig.NetworkMode ?? '');
  const usesIptables = target.docker?.firewall.startsWith('iptables') ?? false;
  if (!isConnected || !usesIptables || target.tools.iptables !== false) return [];
  return [raise('IPTABLES_MISSING', `${target.hostname} has no iptables, and Docker there connects ${name} by it.`)];
}

export const FIREWALL_FINDINGS = {
  IPTABLES_MISSING: {
    severity: 'blocks',
    meaning:
      'Docker makes its networks and publishes ports by iptables, unless it was set up to use nftables (29 and newer).',
    remedy: 'Install iptables there, and restart Docker.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(FIREWALL_FINDINGS);
