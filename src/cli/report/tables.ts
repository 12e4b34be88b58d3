/** `drayage history` and `drayage ps` as tables. */

import type { ForwardSummary } from '../../agent/forwards.ts';
import type { WorkloadSummary } from '../../engines/facts.ts';
import type { MigrationSummary } from '../agent-client.ts';
import type { HostState } from '../host-states.ts';
import { type Look, printable } from './style.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatMs, formatTime } from './units.ts';

/** Newest first. */
export function renderHistory(migrations: readonly MigrationSummary[], look: Look): string {
  if (migrations.length === 0) return 'No migrations yet.\n';
  const rows = [...migrations]
    .sort((a, b) => b.startedAt - a.startedAt)
    .map((m) => [
      m.id,
      formatTime(m.startedAt),
      printable(m.workload),
      `${printable(m.source)} -> ${printable(m.target)}`,
      paintOutcome(m.outcome, look),
      typeof m.outageMs === 'number' ? formatMs(m.outageMs) : '-',
      m.totalMs === undefined ? '-' : formatMs(m.totalMs),
      m.bytes === undefined ? '-' : formatBytes(m.bytes),
    ]);
  return renderTable(['ID', 'STARTED', 'WORKLOAD', 'FROM -> TO', 'OUTCOME', 'OUTAGE', 'TOTAL', 'SENT'], rows, look);
}

export function renderWorkloads(workloads: readonly WorkloadSummary[], look: Look): string {
  if (workloads.length === 0) return 'No workloads.\n';
  const rows = workloads.map(({ ref, image, state, hindrances }) => [
    printable(`${ref.engine}:${ref.name}`),
    printable(cut(image)),
    printable(state),
    hindrances.length === 0 ? look.style.green('yes') : look.style.red('no'),
    printable(hindrances.join('; ')),
  ]);
  return renderTable(['WORKLOAD', 'IMAGE OR COMMAND', 'STATE', 'MOVABLE', 'WHY NOT'], rows, look);
}

export function renderForwards(forwards: readonly ForwardSummary[], look: Look): string {
  if (forwards.length === 0) return 'Nothing is forwarded.\n';
  const rows = forwards.map(({ id, workload, role, peer, since, onlyOpen, packets, bytes }) => [
    id,
    printable(workload),
    `${role === 'source' ? 'to' : 'from'} ${printable(peer)}`,
    formatTime(since),
    packets === undefined ? '-' : String(packets),
    bytes === undefined ? '-' : formatBytes(bytes),
    onlyOpen ? 'only connections that were open' : '',
  ]);
  return renderTable(['ID', 'WORKLOAD', 'WAY', 'SINCE', 'PACKETS', 'BYTES', ''], rows, look);
}

export function renderHosts(hosts: readonly HostState[], look: Look): string {
  if (hosts.length === 0) return 'No hosts were added from here yet: drayage host add root@HOST\n';
  const rows = hosts.map(({ name, drayage, docker, error }) => [
    printable(name),
    error === undefined ? look.style.green('yes') : look.style.red('no'),
    printable(drayage ?? '-'),
    printable(docker ?? '-'),
    error === undefined ? '' : printable(`${error.code}: ${error.message}`),
  ]);
  return renderTable(['HOST', 'REACHABLE', 'AGENT', 'DOCKER', 'WHY NOT'], rows, look);
}

function paintOutcome(outcome: MigrationSummary['outcome'], { style }: Look): string {
  switch (outcome) {
    case 'committed':
      return style.green(outcome);
    case 'undone':
      return style.yellow(outcome);
    case 'unknown':
      return style.red('in doubt');
    case undefined:
      return style.cyan('under way');
    default:
      return outcome satisfies never;
  }
}

/** A command may be of any length. */
function cut(text: string): string {
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN - 1)}…` : text;
}

const MOST_SHOWN = 60;
