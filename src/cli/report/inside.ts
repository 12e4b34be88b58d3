/** What is in an archive, for people. */
import type { ProcessContents } from '../../migration/archive/contents.ts';
import type { Inside } from '../../migration/archive/inside.ts';
import { type Look, printable } from './style.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatTime } from './units.ts';

export function renderInside(inside: Inside, look: Look): string {
  const { manifest, processes, sockets, environment, streams } = inside;
  const title = (text: string): string => `\n${look.style.bold(text)}\n`;
  const { id, createdAt, kind, from, drayage, host, workload, image } = manifest;
  const memory = processes.flatMap((process) => Object.entries(process.memory));
  const files = processes.flatMap(({ pid, files: open }) =>
    open.map(({ fd, target }) => [String(pid), String(fd), printable(target)]),
  );
  // Of a container that of its configuration; others have none but that of each process.
  const own = processes.flatMap(({ pid, environment: all }) => all.map((line) => `${pid} ${line}`));
  const lines = image === null ? own : environment;
  return [
    `${look.style.green('✔')} whole and unaltered: ${kind} ${id} of ${look.style.bold(printable(workload))}\n`,
    renderTable(
      ['', ''],
      [
        ['made', `${formatTime(createdAt)} on ${printable(from.name)}, by drayage ${printable(drayage)}`],
        [
          'host',
          printable(
            `${host.arch}, kernel ${host.kernel}, CRIU ${host.criu?.version}, Docker ${host.docker?.version ?? 'none'}`,
          ),
        ],
        ...(image === null
          ? []
          : [['image', printable(`${image.reference} (${image.id})${image.inside ? '' : ', only named'}`)]]),
      ],
      look,
    ).replace(/^.*\n/, ''),
    title('Processes'),
    ...treeOf(processes).map(({ process, depth }) => `${'  '.repeat(depth + 1)}${describe(process)}\n`),
    title('Memory'),
    renderTable(
      ['kind', 'resident'],
      ['anonymous', 'file', 'shared', 'swap'].map((of) => [of, formatBytes(sum(memory, of))]),
      look,
    ),
    title('Open files'),
    renderTable(['pid', 'fd', 'what'], files, look),
    title('Sockets'),
    renderTable(
      ['kind', 'state', 'local', 'peer'],
      sockets.map(({ kind: of, state = '', local, peer = '' }) => [of, state, printable(local), printable(peer)]),
      look,
    ),
    ...(lines.length === 0 ? [] : [title('Environment')]),
    ...lines.map((line) => `  ${printable(line)}\n`),
    title('Parts'),
    renderTable(
      ['name', 'size', 'what'],
      streams.map(({ name, what, storedBytes }) => [name, formatBytes(storedBytes), printable(what)]),
      look,
    ),
  ].join('');
}

interface Placed {
  process: ProcessContents;
  depth: number;
}

/** Parents before their children; whose parent is not there, or is below itself, stands at the top. */
function treeOf(all: readonly ProcessContents[]): Placed[] {
  const pids = new Set(all.map(({ pid }) => pid));
  const seen = new Set<ProcessContents>();
  const below = (process: ProcessContents, depth: number): Placed[] => {
    if (seen.has(process)) return [];
    seen.add(process);
    const children = all.filter(({ parent }) => parent === process.pid);
    return [{ process, depth }, ...children.flatMap((child) => below(child, depth + 1))];
  };
  const tops = all.filter(({ parent }) => !pids.has(parent));
  return [...tops, ...all].flatMap((process) => below(process, 0));
}

function describe({ pid, name, command, threads }: ProcessContents): string {
  const words = command.length === 0 ? `[${name}]` : command.join(' ');
  return printable(`${pid} ${words}${threads > 1 ? ` (${threads} threads)` : ''}`);
}

function sum(memory: readonly (readonly [string, number])[], of: string): number {
  return memory.reduce((total, [kind, bytes]) => total + (kind === of ? bytes : 0), 0);
}
