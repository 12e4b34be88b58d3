/**
 * Never two, never none: faults at every phase of a migration. After each, once everything is back, exactly one copy
 * runs, its counter has neither lost nor repeated a step, nothing is left behind, and a new migration succeeds.
 */
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import type { MigrationEvent, MigrationResult, Phase } from '../../src/migration/events.ts';
import { brokenAt, counts, docker, goneBackAt, Pair, runContainer, running, startDrayage, until } from './harness.ts';
import type { DockerVersion } from './setup.ts';

/** Where faults strike: as the phase begins, or some milliseconds into it. */
export interface Point {
  phase: Phase;
  afterMs: number;
}

const POINTS: Point[] = [
  { phase: 'survey', afterMs: 0 },
  { phase: 'prepare', afterMs: 150 },
  { phase: 'freeze', afterMs: 0 },
  { phase: 'dump', afterMs: 0 },
  { phase: 'dump', afterMs: 60 },
  { phase: 'transfer', afterMs: 0 },
  { phase: 'restore', afterMs: 0 },
  { phase: 'restore', afterMs: 60 },
  { phase: 'commit', afterMs: 0 },
  { phase: 'commit', afterMs: 15 },
  { phase: 'release', afterMs: 0 },
];

/**
 * Every fault strikes at every point, with one of the engines: which of them takes turns, so that each sees every fault
 * and every point.
 */
export function inTurn<T>(points: readonly T[], docker: DockerVersion, turn: number): T[] {
  return points.filter((_, index) => (index + turn) % 2 === (docker === 26 ? 0 : 1));
}

function pointsFor(docker: DockerVersion, fault: string): Point[] {
  const points = ONE_WAY.includes(fault) ? POINTS.filter(({ phase }) => ANSWERED.includes(phase)) : POINTS;
  return inTurn(points, docker, [...Object.keys(FAULTS), INTERRUPT].indexOf(fault));
}

/** Where it matters which side does not hear the other; until then a link that is cut is a source that hears nothing. */
const ANSWERED: readonly Phase[] = ['restore', 'commit', 'release'];
const ONE_WAY: readonly string[] = ['the target hears nothing', 'the target is not heard'];

const INTERRUPT = 'Ctrl-C';

type Fault = (pair: Pair) => Promise<(() => Promise<void>) | undefined>;

/** Each strikes at once and returns what mends it, for faults that do not mend themselves. */
const FAULTS: Record<string, Fault> = {
  'the source agent is killed': (pair) => kill(pair.a, 'drayage-agent'),
  'the target agent is killed': (pair) => kill(pair.b, 'drayage-agent'),
  'criu is killed': (pair) => killCriu(pair, '[c]riu.*(swrk|rpc)'),
  'runc is killed': killRunc,
  'the link is cut both ways': (pair) => cut(pair, 'both'),
  'the target hears nothing': (pair) => cut(pair, 'in'),
  'the target is not heard': (pair) => cut(pair, 'out'),
  "the source's dockerd is killed": (pair) => kill(pair.a, 'dockerd'),
  "the target's dockerd is killed": (pair) => kill(pair.b, 'dockerd'),
};

/** The share of one version of Docker. */
export function faultMatrix(version: DockerVersion): void {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version);
  });
  afterEach(async () => {
    await pair.lab.restoreLink('b');
    await pair.ready();
    await pair.clear();
  });

  for (const [name, fault] of Object.entries(FAULTS)) {
    test.each(pointsFor(version, name))(`${name}: $phase + $afterMs ms`, async (point) => {
      await runContainer(pair.a, 'web', 'counter');
      await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
      await migrateWith(pair, point, fault);
      // A dockerd that is killed takes the lines with it that it has read and not written yet.
      await expectOneWholeCopy(pair, name.includes('dockerd') ? goneBackAt : brokenAt);
    });
  }

  test.each(pointsFor(version, INTERRUPT))('Ctrl-C: $phase + $afterMs ms', async (point) => {
    await runContainer(pair.a, 'web', 'counter');
    await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
    await migrateWith(pair, point, async (_, interrupt) => {
      await interrupt();
      return undefined;
    });
    await expectOneWholeCopy(pair);
  });
}

/** On a lab of its own. */
export async function targetDiskFillsUp(): Promise<void> {
  const name = `full${process.pid % 100_000}`;
  await using lab = await Lab.up({
    name,
    hosts: ['a', 'b'],
    docker: 26,
    diskMb: 400,
    programDir: 'dist',
    ephemeral: true,
  });
  await lab.image('counter', ['a', 'b']);
  const pair = new Pair(lab);
  await runContainer(pair.a, 'web', 'counter');
  await docker(pair.a, 'exec', 'web', 'dd', 'if=/dev/urandom', 'of=/data/blob', 'bs=1M', 'count=100');
  await until('it counts', async () => (await counts(pair.a, 'web')).length > 2);
  // All that is left on it but some MB, as soon as the target has been looked at.
  await migrateWith(pair, { phase: 'prepare', afterMs: 0 }, async ({ b }) => {
    await b.run('dd', ['if=/dev/zero', 'of=/var/lib/docker/full', 'bs=1M', 'count=350'], { okCodes: [0, 1] });
    return () => b.run('rm', ['-f', '/var/lib/docker/full']).then(() => {});
  });
  await expectOneWholeCopy(pair);
}

/**
 * Moves it from a to b and lets the fault strike.
 * @returns how it ended, as far as the command could tell, when that has ended
 */
export async function migrateWith(
  pair: Pair,
  { phase, afterMs }: Point,
  fault: (pair: Pair, interrupt: () => Promise<void>) => Promise<(() => Promise<void>) | undefined>,
  { workload = 'docker:web', flags = [] }: { workload?: string; flags?: readonly string[] } = {},
): Promise<MigrationResult | undefined> {
  const cli = startDrayage(pair.a, 'migrate', workload, '--to', 'root@b', '--json', '--yes', ...flags);
  let mend: (() => Promise<void>) | undefined;
  let struck: Promise<void> | undefined;
  let result: MigrationResult | undefined;
  let buffered = '';
  let said = '';
  cli.stdout.on('data', (chunk: Buffer) => {
    buffered += chunk.toString();
    said += chunk.toString();
    const lines = buffered.split('\n');
    buffered = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as MigrationEvent;
      if (event.type === 'result') result = event;
      if (event.type !== 'phase' || event.phase !== phase || struck !== undefined) continue;
      struck = new Promise((resolve) => setTimeout(resolve, afterMs))
        .then(() => fault(pair, cli.interrupt))
        .then((mending) => {
          mend = mending;
        });
    }
  });
  cli.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  // With a fault that mends itself the command ends by itself; with one that does not, after some time without a mend.
  const patience = new Promise((resolve) => setTimeout(resolve, 7000));
  await Promise.race([cli.exited, patience]);
  await struck;
  await mend?.();
  await Promise.race([cli.exited, new Promise((resolve) => setTimeout(resolve, 20_000))]);
  cli.kill('SIGKILL');
  expect(struck, `the fault has not struck: ${said.slice(-1500)}`).toBeDefined();
  return result;
}

export async function expectOneWholeCopy(pair: Pair, wrongAt = brokenAt): Promise<void> {
  const { a, b } = pair;
  await pair.ready();
  const host = await until(
    'both sides are at rest and one copy runs',
    async () => {
      const copies = [...(await running(a)).map(() => a), ...(await running(b)).map(() => b)];
      if (copies.length !== 1 || (await pair.leftovers()).length > 0) return undefined;
      return copies[0];
    },
    40_000,
  ).catch(async (error: Error) => {
    const state = { a: await running(a), b: await running(b), left: await pair.leftovers() };
    throw new Error(`${error.message}: ${JSON.stringify(state)}\n${await agentLogs(pair)}`);
  });
  const [name = ''] = await running(host);
  expect(name).toBe('web');
  const before = (await counts(host, name)).length;
  await until('the copy counts on', async () => (await counts(host, name)).length > before + 3);
  expect(wrongAt(await counts(host, name))).toBeUndefined();
  expect(await docker(pair.other(host), 'ps', '-a', '--format', '{{.Names}}')).not.toMatch(/^web$/m);

  const again = await pair.migrate(host, 'web');
  const said = [...again.events.slice(-3).map((event) => JSON.stringify(event)), again.stderr];
  expect(again.result, [...said, await agentLogs(pair)].join('\n')).toMatchObject({ outcome: 'committed' });
  const there = pair.other(host);
  await until('the copy counts on', async () => (await counts(there, 'web')).length > before + 6);
  expect(wrongAt(await counts(there, 'web'))).toBeUndefined();
  expect(await pair.leftovers()).toEqual([]);
}

export async function kill(host: LabHost, service: 'drayage-agent' | 'dockerd'): Promise<undefined> {
  await host.kill9(service);
  return undefined;
}

async function killRunc(pair: Pair): Promise<undefined> {
  await onBoth(pair, `kill -9 $(pgrep -o -f '[r]unc .*(checkpoint|restore)') 2>/dev/null; :`);
}

/**
 * The CRIU that a migration has started, on both hosts. Of several the oldest: tasks that it is restoring are its
 * children and bear its name until they are whole, and to kill one of those would be to kill the workload.
 * So would it be to kill a dump that has a task make a system call (docs/decisions/0008-facts-learned.md). CRIU writes
 * `syscall; int3` over the beginning of a page for it: while a task is there, or runs, CRIU is let go on.
 * @param pattern with brackets that keep it from finding the shell that looks for it
 */
export async function killCriu(pair: Pair, pattern: string): Promise<undefined> {
  await onBoth(
    pair,
    `pid=$(pgrep -o -f '${pattern}') || exit 0
    for turn in $(seq 1000); do
      kill -STOP $pid 2>/dev/null || exit 0
      for task in $(grep -lsE "^TracerPid:\\s+$pid$" /proc/[0-9]*/status); do
        cat \${task%status}syscall
      done 2>/dev/null | grep -qE 'running|00[0-3]$' || break
      kill -CONT $pid
      sleep 0.001
    done
    kill -9 $pid 2>/dev/null; :`,
  );
}

async function onBoth({ a, b }: Pair, script: string): Promise<void> {
  await Promise.all([a, b].map((host) => host.run('sh', ['-c', script])));
}

export async function cut(pair: Pair, direction: 'in' | 'out' | 'both'): Promise<() => Promise<void>> {
  await pair.lab.cutLink('b', direction);
  return () => pair.lab.restoreLink('b');
}

/** What the agents have logged, and written last into their journals. */
export async function agentLogs(pair: Pair): Promise<string> {
  const script = 'tail -c 4000 /var/log/drayage-agent.log; tail -n 12 "$(ls -t /var/lib/drayage/journal/* | head -1)"';
  const logs = await Promise.all(
    [pair.a, pair.b].map(async (host) => {
      const { stdout } = await host.run('sh', ['-c', script], { okCodes: [0, 1] });
      return `${host.name}: ${stdout}`;
    }),
  );
  return logs.join('\n');
}
