/** What a migration will do, before it does it. */
import type { Plan } from '../../migration/plan.ts';
import { type Look, pad, printable } from './style.ts';
import { formatBytes, formatMs } from './units.ts';

export function renderPlan(plan: Plan, { style }: Look): string {
  const layers = plan.image.missingLayers.length;
  const rows: [string, string][] = [
    ['image', layers === 0 ? 'the target has it' : `${count(layers, 'layer')}, about ${formatBytes(plan.image.bytes)}`],
    ...plan.trees.map((tree): [string, string] => [
      'files',
      `${treeName(tree)}: ${formatBytes(tree.bytes)} in ${count(tree.entries, 'entry', 'entries')}`,
    ]),
    ...plan.networksToCreate.map((name): [string, string] => ['network', `${printable(name)}, made on the target`]),
    ...plan.addressesToMove.map(({ address, parent }): [string, string] => [
      'address',
      `${printable(address)} moves along, to ${printable(parent)} there`,
    ]),
    ...plan.volumesToCreate.map((name): [string, string] => ['volume', `${printable(name)}, made on the target`]),
    ['memory', formatBytes(plan.memoryBytes)],
    ['outage', `about ${formatMs(plan.predictedOutageMs)}`],
    ['to send', `about ${formatBytes(plan.predictedBytes)}`],
  ];
  const lines = rows.map(([what, text]) => `  ${pad(what, 8)}  ${text}`);
  return `${style.bold('plan')} (${plan.strategy})\n${lines.join('\n')}\n`;
}

function treeName({ key, kind }: Plan['trees'][number]): string {
  return kind === 'upper' ? "the container's own files" : printable(key).replace(':', ' ');
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
