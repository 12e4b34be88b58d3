import { expect, test } from 'vitest';
import { goodHost, OPTIONS } from '../../../test/fixtures/facts.ts';
import type { ProcessContents } from '../../migration/archive/contents.ts';
import type { Inside } from '../../migration/archive/inside.ts';
import { renderInside } from './inside.ts';
import { look } from './style.ts';

const PLAIN = look({ colour: false, width: 80 });

const process = (pid: number, parent: number): ProcessContents => ({
  ...{ pid, parent, name: 'sh', command: ['sh', String(pid)], threads: 1, files: [], environment: [`A=${pid}`] },
  memory: { anonymous: 0, file: 0, shared: 0, swap: 0 },
});

function inside(processes: ProcessContents[], more: Partial<Inside['manifest']> = {}): Inside {
  const manifest = {
    ...{ format: 1 as const, id: '20261121-120000-abcd', createdAt: 0, drayage: '1', kind: 'export' as const },
    ...{ from: { name: 'a', machine: 'm' }, host: goodHost('a'), options: OPTIONS, workload: 'process:7', image: null },
    ...more,
  };
  return { manifest, processes, sockets: [], environment: [], streams: [] };
}

test('each process is told once, whatever the archive says of parents', () => {
  const mad = [process(1, 1), process(1, 1), process(1, 1), process(2, 3), process(3, 2), process(5, 4)];
  const said = renderInside(inside(mad), PLAIN);
  expect(said.match(/^ +\d sh \d$/gm)).toHaveLength(mad.length);
});

test('processes that are in no container have their own environment', () => {
  expect(renderInside(inside([process(7, 0)]), PLAIN)).toContain('Environment\n  7 A=7\n');
  const image = { id: 'i', reference: 'r', inside: true };
  expect(renderInside(inside([process(7, 0)], { image }), PLAIN)).not.toContain('A=7');
});
