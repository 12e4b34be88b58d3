/** A made-up migration, for the tests of the reporters. */
import type { MigrationEvent, MigrationResult, Span } from '../../migration/events.ts';

const START = Date.UTC(2026, 10, 21, 12, 0, 0);
export const ID = '7k2m';

const span = (kind: Span['kind'], side: Span['side'], name: string, startMs: number, ms: number): Span => ({
  kind,
  side,
  name,
  startMs,
  ms,
});

export const SPANS: Span[] = [
  span('phase', 'source', 'survey', 0, 90),
  span('phase', 'source', 'preflight', 90, 10),
  span('phase', 'source', 'prepare', 100, 600),
  span('step', 'source', 'send image layers', 110, 300),
  span('step', 'target', 'create the copy', 420, 200),
  span('program', 'target', 'rsync', 430, 120),
  span('phase', 'source', 'freeze', 700, 4),
  span('phase', 'source', 'dump', 704, 96),
  span('program', 'source', 'runc', 706, 90),
  span('phase', 'source', 'transfer', 800, 20),
  span('phase', 'source', 'sync', 820, 30),
  span('phase', 'source', 'restore', 850, 100),
  span('program', 'target', 'criu', 852, 90),
  span('phase', 'source', 'commit', 950, 10),
  span('phase', 'source', 'release', 960, 40),
];

export const RESULT: MigrationResult = {
  type: 'result',
  id: ID,
  outcome: 'committed',
  outageMs: 256,
  totalMs: 1000,
  bytes: 34_500_000,
  phases: [],
  targetId: 'f00d',
  keptAs: 'web-drayage-7k2m',
};

export function exampleEvents(): MigrationEvent[] {
  const at = (ms: number) => ({ time: START + ms, id: ID });
  const phases = SPANS.filter((s) => s.kind === 'phase').flatMap((s): MigrationEvent[] => [
    { ...at(s.startMs), type: 'phase', phase: s.name as 'survey' },
    { ...at(s.startMs + s.ms), type: 'span', span: s },
  ]);
  const rest = SPANS.filter((s) => s.kind !== 'phase').map(
    (s): MigrationEvent => ({ ...at(s.startMs + s.ms), type: 'span', span: s }),
  );
  const options = {
    remove: false,
    carryBinds: true,
    dropConnections: false,
    handover: 'auto' as const,
    dryRun: false,
  };
  const events: MigrationEvent[] = [
    { ...at(0), type: 'started', workload: 'docker:web', source: 'a', target: 'root@b', options },
    ...phases,
    ...rest,
    {
      ...at(95),
      type: 'findings',
      findings: [
        {
          code: 'CLOCK_SKEW',
          severity: 'note',
          message: 'The clocks differ by 3 s.',
          meaning: 'Logs jump.',
          remedy: '',
        },
      ],
    },
    { ...at(400), type: 'progress', phase: 'prepare', what: 'image', bytes: 10e6, total: 34.5e6, rate: 49e6 },
    { ...at(970), type: 'note', message: 'kept as web-drayage-7k2m' },
  ];
  const order = (event: MigrationEvent) => (event.type === 'phase' ? 1 : 0);
  return [...events.sort((a, b) => a.time - b.time || order(a) - order(b)), { ...at(1000), ...RESULT }];
}
