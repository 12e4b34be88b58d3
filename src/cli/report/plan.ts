/** What a migration will do, before it does it. */
import type { Plan } from '../../migration/plan.ts';
import { type Look, pad, printable } from './style.ts';
import { formatBytes, formatMs } from './units.ts';

type Row = [what: string, text: string];

export function renderPlan(plan: Plan, { style }: Look): string {
  const layers = plan.image.missingLayers.length;
  const image =
    layers === 0 ? 'the target has it' : `${count(layers, 'layer')}, about ${formatBytes(plan.image.bytes)}`;
  const rows: Row[] = [
    // Processes without an engine have none, and one tree of files.
    ...(plan.trees.some(({ key }) => key === 'carried') ? [] : [['image', image] as Row]),
    ...plan.trees.map(
      (tree): Row => [
        'files',
        `${treeName(tree)}: ${formatBytes(tree.bytes)} in ${count(tree.entries, 'entry', 'entries')}`,
      ],
    ),
    ...plan.networksToCreate.map((name): Row => ['network', `${printable(name)}, made on the target`]),
    ...plan.addressesToMove.map(
      ({ address, parent }): Row => ['address', `${printable(address)} moves along, to ${printable(parent)} there`],
    ),
    ...plan.volumesToCreate.map((name): Row => ['volume', `${printable(name)}, made on the target`]),
    ...(plan.restart === undefined ? [['memory', formatBytes(plan.memoryBytes)] as Row] : []),
    ...outage(plan),
    ['to send', `about ${formatBytes(plan.predictedBytes)}`],
  ];
  const lines = rows.map(([what, text]) => `  ${pad(what, 8)}  ${text}`);
  return `${style.bold('plan')} (${plan.strategy})\n${lines.join('\n')}\n`;
}

/** By restart, what is lost and how long it takes at most. */
function outage({ predictedOutageMs, restart }: Plan): Row[] {
  if (restart === undefined) return [['outage', `about ${formatMs(predictedOutageMs)}`]];
  if (restart.outageMs === 0) return [['outage', 'none: it does not run, and stays stopped']];
  const { lost, stopMs, outageMs, healthy } = restart;
  return [
    ...lost.map((what): Row => ['lost', printable(what)]),
    ['outage', `at most about ${formatMs(outageMs)}, of which it has ${formatMs(stopMs)} to stop`],
    ['healthy', HEALTHY[healthy]],
  ];
}

const HEALTHY: Record<NonNullable<Plan['restart']>['healthy'], string> = {
  url: 'when its address answers (--healthy-url)',
  healthcheck: 'when its own health check succeeds',
  running: 'when it has been running for some seconds',
};

function treeName({ key, kind }: Plan['trees'][number]): string {
  return kind === 'upper' ? "the container's own files" : printable(key).replace(':', ' ');
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
