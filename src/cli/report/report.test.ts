import { stripVTControlCharacters as strip } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exampleEvents, ID, RESULT, SPANS } from './example.ts';
import { renderError, renderFindings } from './finding.ts';
import { advance, current, type Live, NOTHING_YET } from './live.ts';
import { renderPlan } from './plan.ts';
import { renderOutcome } from './result.ts';
import { renderStory } from './show.ts';
import { flatten, spanTree } from './spans.ts';
import { storyOf } from './story.ts';
import { columnsOf, look, printable, wrap } from './style.ts';
import { renderHistory, renderWorkloads } from './tables.ts';
import { drawBar } from './timeline.ts';
import { formatBytes, formatMs, formatRate } from './units.ts';

const plain = look({ colour: false, width: 80 });
const coloured = look({ colour: true, width: 80 });
const story = storyOf(ID, exampleEvents());

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [34_500_000, '34.5 MB'],
  [999_960_000, '1.0 GB'],
  [120e9, '120 GB'],
  [5e15, '5000 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0, '0 ms'],
  [0.44, '0.4 ms'],
  [9.97, '10 ms'],
  [412.3, '412 ms'],
  [999.6, '1.00 s'],
  [2_140, '2.14 s'],
  [41_200, '41.2 s'],
  [59_990, '1 min 0 s'],
  [192_000, '3 min 12 s'],
  [7_500_000, '2 h 5 min'],
])('%d ms are %s', (ms, text) => expect(formatMs(ms)).toBe(text));

test('a rate', () => expect(formatRate(112e6)).toBe('112 MB/s'));

test('what steers a terminal is taken out of foreign text', () => {
  expect(printable('a\x1b[31mred\x1b[0m\x07\tb\x9b2J\nnext')).toBe('ared  b\nnext');
});

test('wrapped text keeps to the width, and every word', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,15}$/), { minLength: 1 }),
      fc.integer({ min: 30, max: 100 }),
      (words, width) => {
        const lines = wrap(words.join(' '), width, '    ').split('\n');
        expect(lines.every((line) => line.length <= width && line.startsWith('    '))).toBe(true);
        expect(lines.join(' ').split(/ +/).filter(Boolean)).toEqual(words);
      },
    ),
  );
});

test('a bar is as wide as told, and never empty', () => {
  const time = fc.double({ min: 0, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(time, time, fc.integer({ min: 1, max: 200 }), (startMs, ms, columns) => {
      const cells = drawBar({ label: '', startMs, ms }, { startMs: 0, ms: 1000 }, columns, [0, 1]);
      expect([...cells]).toHaveLength(columns);
      expect(cells.trim()).not.toBe('');
    }),
  );
});

test('every span is in the tree once, programs within their step or phase', () => {
  const rows = flatten(spanTree(SPANS));
  expect(rows).toHaveLength(SPANS.length);
  expect(rows.filter(({ depth }) => depth > 0).map(({ span, depth }) => [span.name, depth])).toEqual([
    ['send image layers', 1],
    ['create the copy', 1],
    ['rsync', 2],
    ['runc', 1],
    ['criu', 1],
  ]);
});

test('the end of a move, with its timeline', () => {
  expect(renderOutcome(story, plain)).toMatchInlineSnapshot(`
    "✔ docker:web now runs on root@b (kept stopped on a as web-drayage-7k2m)
      outage 256 ms · total 1.00 s · 34.5 MB sent

      survey     ░░░░░                                                         90 ms
      preflight       ░                                                        10 ms
      prepare          ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░                      600 ms
      freeze                                            █                       4 ms
      dump                                              ██████                 96 ms
      transfer                                                █                20 ms
      sync                                                     ██              30 ms
      restore                                                    █████        100 ms
      commit                                                          █        10 ms
      release                                                          ░░      40 ms
      outage                                            ├─────────────┤       256 ms

      the outage, enlarged
      dump      █████████████████████                                          96 ms
      transfer                       █████                                     20 ms
      sync                                ███████                              30 ms
      restore                                    ██████████████████████       100 ms
      commit                                                           ██      10 ms
      outage    ├───────────────────────────────────────────────────────┤     256 ms
    "
  `);
});

test('colours change nothing but the colours', () => {
  expect(renderOutcome(story, coloured)).toContain('\x1b[31m');
  expect(strip(renderOutcome(story, coloured))).toBe(renderOutcome(story, plain));
  expect(strip(renderStory(story, coloured))).toBe(renderStory(story, plain));
});

test('no line is wider than the terminal', () => {
  for (const width of [60, 80, 120]) {
    const narrow = look({ colour: true, width });
    for (const text of [renderOutcome(story, narrow), renderStory(story, narrow)]) {
      expect(Math.max(...text.split('\n').map(columnsOf))).toBeLessThanOrEqual(Math.max(width, 80));
    }
  }
});

test('the whole story', () => {
  expect(renderStory(story, plain).replace(/2026-.*\d\d:\d\d:\d\d/, 'TIME')).toMatchInlineSnapshot(`
    "migration 7k2m: docker:web from a to root@b
    TIME · --carry-binds

    note    The clocks differ by 3 s. (CLOCK_SKEW)
            Logs jump.

    note    kept as web-drayage-7k2m

             at  what                 on                                        took
           0 ms  survey               source  ░░                               90 ms
          90 ms  preflight            source    ░                              10 ms
         100 ms  prepare              source     ░░░░░░░░░░░░░░░░             600 ms
         110 ms    send image layers  source     ░░░░░░░░                     300 ms
         420 ms    create the copy    target             ░░░░░░               200 ms
         430 ms      rsync            target              ░░░                 120 ms
         700 ms  freeze               source                     █              4 ms
         704 ms  dump                 source                     ███           96 ms
         706 ms    runc               source                     ██            90 ms
         800 ms  transfer             source                        █          20 ms
         820 ms  sync                 source                        █          30 ms
         850 ms  restore              source                         ███      100 ms
         852 ms    criu               target                         ██        90 ms
         950 ms  commit               source                            ░      10 ms
         960 ms  release              source                            ░      40 ms
         704 ms  outage                                          ├─────┤      256 ms

    ✔ docker:web now runs on root@b (kept stopped on a as web-drayage-7k2m)
      outage 256 ms · total 1.00 s · 34.5 MB sent
    "
  `);
});

test('a story of an undone, of a doubtful and of an unfinished move', () => {
  const error = { code: 'INTERNAL', message: 'the target went away', meaning: 'It goes on.', remedy: 'Try again.' };
  const ended = (outcome: 'undone' | 'unknown') =>
    renderOutcome(
      { ...story, result: { ...RESULT, outcome, outageMs: outcome === 'undone' ? null : 9000, error } },
      plain,
    );
  expect(ended('undone')).toContain('undone: docker:web goes on running on a');
  expect(ended('undone')).toContain('error INTERNAL: the target went away');
  expect(ended('unknown')).toContain('in doubt');
  const { result: _, ...unfinished } = story;
  expect(renderStory(unfinished, plain)).toContain('under way');
});

test('live lines: one a phase, the current one with rate and estimate', () => {
  let live: Live = NOTHING_YET;
  const lines: string[] = [];
  let running: string | null = null;
  for (const event of exampleEvents()) {
    const next = advance(live, event, plain);
    live = next.live;
    lines.push(...next.lines);
    if (event.type === 'progress') running = current(live, event.time, '/', plain);
  }
  expect(running).toMatchInlineSnapshot(
    `"/ prepare       300 ms  image · 10.0 MB of 34.5 MB · 49.0 MB/s · 500 ms left"`,
  );
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "• survey         90 ms  look at the workload and both hosts
    • preflight      10 ms  see whether it can move
    • prepare       600 ms  image, files, the copy on the target · 10.0 MB
    • freeze          4 ms  hold it still
    • dump           96 ms  write its memory down
    • transfer       20 ms  send what is left of it
    • sync           30 ms  last differences of files
    • restore       100 ms  make it again on the target
    • commit         10 ms  hand over
    note kept as web-drayage-7k2m
    • release        40 ms  let it go, clean up"
  `);
  expect(current(live, 0, '/', plain)).toBeNull();
});

test('findings, the most serious first', () => {
  const findings = [
    { code: 'A_NOTE', severity: 'note', message: 'Note.', meaning: 'Little.', remedy: '' },
    {
      code: 'A_BLOCK',
      severity: 'blocks',
      message: 'No CRIU.',
      meaning: 'It cannot be dumped.',
      remedy: 'apt install criu',
    },
    { code: 'A_COST', severity: 'costs', message: 'Two connections.', meaning: 'They are lost.', remedy: 'Wait.' },
  ] as const;
  expect(renderFindings([...findings], plain)).toMatchInlineSnapshot(`
    "blocks  No CRIU. (A_BLOCK)
            It cannot be dumped.
            apt install criu
    costs   Two connections. (A_COST)
            They are lost.
            Wait.
    note    Note. (A_NOTE)
            Little.
    "
  `);
});

test('an error', () => {
  const error = { code: 'USAGE', message: 'no such\x1b[2J thing', meaning: 'It means this.', remedy: 'Do that.' };
  expect(renderError(error, plain)).toMatchInlineSnapshot(`
    "error USAGE: no such thing
      It means this.
      -> Do that.
    "
  `);
});

test('tables', () => {
  const way = { workload: 'docker:web', source: 'a', target: 'b' };
  const ended = { ...way, outcome: 'committed', outageMs: 256, totalMs: 1000, bytes: 34_500_000 } as const;
  const history = renderHistory(
    [
      { id: 'first', ...ended, startedAt: 1 },
      { id: 'now', ...way, startedAt: 3 },
      { id: 'doubt', ...way, startedAt: 2, outcome: 'unknown', outageMs: null },
    ],
    plain,
  );
  expect(history.split('\n').map((line) => line.split(' ')[0])).toEqual(['ID', 'now', 'doubt', 'first', '']);
  expect(history).toMatch(/now .* under way/);
  expect(history).toMatch(/first .* committed +256 ms +1.00 s +34.5 MB/);
  expect(renderHistory([], plain)).toBe('No migrations yet.\n');
  const ref = { engine: 'docker', name: 'web' } as const;
  const web = { ref, id: 'f', image: 'nginx', state: 'running', hindrances: [] };
  const why = ['it holds an io_uring file, which CRIU cannot dump', 'it is open to the terminal'];
  expect(renderWorkloads([web, { ...web, state: 'exited', hindrances: why }], plain)).toMatchInlineSnapshot(`
    "WORKLOAD    IMAGE  STATE    MOVABLE  WHY NOT
    docker:web  nginx  running  yes
    docker:web  nginx  exited   no       it holds an io_uring file, which CRIU
                                         cannot dump; it is open to the terminal
    "
  `);
});

test('a plan', () => {
  const trees = [
    { key: 'upper', kind: 'upper', path: '/u', bytes: 1200, entries: 1 },
    { key: 'volume:data', kind: 'volume', path: '/v', bytes: 5e9, entries: 12 },
  ] as const;
  const image = { missingLayers: ['sha256:1'], bytes: 5e6 };
  const base = {
    strategy: 'stop-copy',
    networksToCreate: ['front'],
    volumesToCreate: ['data'],
    memoryBytes: 8e6,
  } as const;
  const plan = {
    ...base,
    image,
    trees: [...trees],
    networksToCreate: ['front'],
    addressesToMove: [],
    volumesToCreate: ['data'],
  };
  expect(renderPlan({ ...plan, predictedOutageMs: 300, predictedBytes: 5e9 }, plain)).toMatchInlineSnapshot(`
    "plan (stop-copy)
      image     1 layer, about 5.0 MB
      files     the container's own files: 1.2 kB in 1 entry
      files     volume data: 5.0 GB in 12 entries
      network   front, made on the target
      volume    data, made on the target
      memory    8.0 MB
      outage    about 300 ms
      to send   about 5.0 GB
    "
  `);
});
