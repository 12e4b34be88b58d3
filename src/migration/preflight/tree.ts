/** What speaks against moving a tree of processes, besides what its processes hold and what the hosts lack. */
import type { HostFacts, ProcessFacts, ProcessTreeFacts } from '../../engines/facts.ts';
import type { MigrateOptions } from '../events.ts';
import type { Finding } from '../finding.ts';
import { planRelay } from '../port-handover.ts';
import type { SourceCase } from './case.ts';
import { raising } from './finding-table.ts';
import { checkObstacles } from './obstacles.ts';
import { TREE_FINDINGS } from './tree-findings.ts';

export interface TreeCase {
  workload: ProcessTreeFacts;
  name: string;
  source: HostFacts;
  target: HostFacts;
  options: MigrateOptions;
}

/** As far as the source alone can tell. */
export function checkTree({ workload, name, options }: Pick<TreeCase, 'workload' | 'name' | 'options'>): Finding[] {
  const { foreign, terminals, outerPipes } = workload;
  return [
    ...(foreign.length === 0
      ? []
      : [raise('FOREIGN_NAMESPACE', `${name} has namespaces of its own: ${foreign.join(', ')}.`)]),
    ...(options.leaveRunning ? [] : restarterFindings(workload, name)),
    ...pipeFindings(outerPipes, name),
    ...(terminals.length > 1
      ? [raise('SEVERAL_TERMINALS', `${name} is on ${terminals.map(({ path }) => path).join(' and ')}.`)]
      : []),
  ];
}

export function checkTreeOnTarget(c: TreeCase): Finding[] {
  const { name, options } = c;
  const restart = options.strategy === 'restart' ? [raise('NOT_BY_RESTART', `${name} is of no engine.`)] : [];
  return [
    ...restart,
    ...fileFindings(c),
    ...pidFindings(c),
    ...terminalFindings(c),
    ...portFindings(c),
    ...limitFindings(c),
  ];
}

/** What its processes hold. The hosts' own addresses are the only ones that there are. */
export function checkTreeProcesses(c: SourceCase, target?: HostFacts): Finding[] {
  const there =
    target?.traffic?.network.devices.flatMap(({ addresses }) => addresses.map(({ address }) => address)) ?? [];
  const all = c.workload.processes.flatMap(({ obstacles }) => obstacles);
  const isLeft = ({ kind, detail }: Obstacle): boolean => {
    if (kind === 'bound-address') return !there.includes(/^\S+ \[?([^\]]*?)\]?:\d+$/.exec(detail)?.[1] ?? '');
    return kind !== 'tcp-established' || !all.some((other) => isOtherEnd(detail, other));
  };
  const processes = c.workload.processes.map((one) => ({ ...one, obstacles: one.obstacles.filter(isLeft) }));
  return checkObstacles({ ...c, workload: { ...c.workload, processes } }).map((finding) =>
    finding.code === 'TCP_ESTABLISHED' && !c.options.dropConnections ? { ...finding, ...CONNECTIONS_STAY } : finding,
  );
}

type Obstacle = ProcessFacts['obstacles'][number];

function isOtherEnd(detail: string, { kind, detail: other }: Obstacle): boolean {
  return kind === 'tcp-established' && other.split(' to ').reverse().join(' to ') === detail;
}

const CONNECTIONS_STAY = {
  severity: 'blocks',
  meaning: "They have this host's address, which the processes will not have any more.",
  remedy: 'Let them be closed with --drop-connections, if the other ends can connect anew.',
} as const;

const raise = raising(TREE_FINDINGS);

function restarterFindings({ restarter }: ProcessTreeFacts, name: string): Finding[] {
  if (restarter === undefined) return [];
  if (restarter.by === 'parent') return [raise('SUPERVISED', `${name} was started by ${restarter.name}.`)];
  const { unit, user, policy } = restarter;
  const systemctl = user === undefined ? 'systemctl' : 'systemctl --user';
  return [
    raise('RESTARTED_BY_SYSTEMD', `${name} is of ${unit}, which has Restart=${policy}.`, {
      remedy: `Run ${systemctl} edit --runtime ${unit}${user === undefined ? '' : ` as the user ${user}`} and put the lines [Service] and Restart=no into it; then run the command again. When it has moved, run ${systemctl} disable ${unit}, lest it starts with the host.`,
    }),
  ];
}

function pipeFindings(pipes: ProcessTreeFacts['outerPipes'], name: string): Finding[] {
  const told = (some: typeof pipes) => shorten(some.map((one) => `${one.pipe} of ${one.with}`));
  const [standard, others] = [pipes.filter((one) => one.isStandard), pipes.filter((one) => !one.isStandard)];
  return [
    ...(standard.length === 0 ? [] : [raise('OUTSIDE_PIPE', `${name} has ends of pipes: ${told(standard)}.`)]),
    ...(others.length === 0 ? [] : [raise('INHERITED_PIPE', `${name} has ends of pipes: ${told(others)}.`)]),
  ];
}

/** Paths that one finding names. */
const MOST_TOLD = 4;

function fileFindings({ workload: { files }, name, target, options }: TreeCase): Finding[] {
  const states = target.tree?.files ?? [];
  const having = (state: string) => files.filter((_, index) => states[index] === state);
  const [missing, other] = [having('missing'), having('differs')];
  const bytes = missing.reduce((sum, file) => sum + file.bytes, 0);
  return [
    ...(options.privateRoot ? [raise('PRIVATE_ROOT', `${name} gets a root directory of its own.`)] : []),
    ...(other.length === 0 || options.privateRoot
      ? []
      : [
          raise(
            options.replaceFiles ? 'FILES_REPLACED' : 'FILES_DIFFER',
            `${target.hostname} has other files than ${name} uses: ${shorten(other.map(({ path }) => path))}.`,
          ),
        ]),
    ...(missing.length === 0
      ? []
      : [
          raise(
            'FILES_CARRIED',
            `${missing.length} files that ${target.hostname} lacks go along (${bytes} bytes): ${shorten(missing.map(({ path }) => path))}.`,
          ),
        ]),
  ];
}

function pidFindings({ name, target, options }: TreeCase): Finding[] {
  if (options.pidNamespace) return [raise('PID_NAMESPACE', `${name} gets a pid namespace of its own.`)];
  const taken = target.tree?.takenPids ?? [];
  return taken.length === 0
    ? []
    : [
        raise(
          'PIDS_TAKEN',
          `${target.hostname} has processes of the numbers of ${name}: ${shorten(taken.map(String))}.`,
        ),
      ];
}

function terminalFindings({ workload: { terminals }, name, target }: TreeCase): Finding[] {
  const [terminal] = terminals;
  if (terminal === undefined) return [];
  const missing = target.tree?.missingPrograms ?? [];
  return [
    ...(missing.length === 0 ? [] : [raise('SCRIPT_MISSING', `${target.hostname} lacks ${missing.join(', ')}.`)]),
    raise('TERMINAL_MOVES', `${name} is on the terminal ${terminal.path}.`),
  ];
}

function portFindings({ workload, name, source, target, options }: TreeCase): Finding[] {
  const { listening } = workload;
  const ours = target.tree?.relayed ?? [];
  const others = target.listening.filter((theirs) => !ours.includes(theirs));
  const taken = listening.filter((mine) => others.some((theirs) => collide(mine, theirs)));
  const relayed = planRelay(workload, { source, target }, options)?.endpoints ?? [];
  const left = listening.filter((mine) => !relayed.includes(mine));
  return [
    ...(taken.length === 0 ? [] : [raise('PORT_IN_USE', `${target.hostname} uses ${shorten(taken)} already.`)]),
    ...(left.length === 0 ? [] : [raise('LISTENERS_MOVE', `${name} listens on ${shorten(left)}.`)]),
    ...(relayed.length === 0 ? [] : [raise('LISTENERS_RELAYED', `${name} listens on ${shorten(relayed)}.`)]),
  ];
}

const LIMITS = { memoryBytes: 'memory', cpus: 'processors', tasks: 'tasks' } as const;

function limitFindings({ workload: { limits }, name, target }: TreeCase): Finding[] {
  const able = target.tree?.limitable ?? [];
  const lost = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).filter(
    (kind) => limits[kind] !== undefined && !able.includes(kind),
  );
  if (lost.length === 0) return [];
  const what = lost.map((kind) => LIMITS[kind]).join(', ');
  return [raise('LIMITS_LOST', `${target.hostname} cannot limit the ${what} of ${name}.`)];
}

/** `tcp/0.0.0.0:80`: the same address, or one of them stands for all. */
function collide(one: string, other: string): boolean {
  const [a, b] = [partsOf(one), partsOf(other)];
  if (a.protocol !== b.protocol || a.port !== b.port) return false;
  return a.host === b.host || isAny(a.host) || isAny(b.host);
}

function partsOf(endpoint: string): { protocol: string; host: string; port: string } {
  const {
    protocol = '',
    host = '',
    port = '',
  } = /^(?<protocol>\w+)\/(?<host>.*):(?<port>\d+)$/.exec(endpoint)?.groups ?? {};
  return { protocol, host, port };
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '[::]';
}

function shorten(names: readonly string[]): string {
  const more = names.length - MOST_TOLD;
  return `${names.slice(0, MOST_TOLD).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
