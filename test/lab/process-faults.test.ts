/** Never two, never none, for processes: what no engine keeps must be found again after a crash, too. */
import { writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { agentLogs, killCriu, migrateWith } from './faults.ts';
import { brokenAt, Pair, startAs, until } from './harness.ts';
import { ANY_DOCKER } from './setup.ts';

const HOME = '/srv/faults';

const POINTS = [
  { phase: 'prepare', afterMs: 0 },
  { phase: 'prepare', afterMs: 100 },
  { phase: 'freeze', afterMs: 0 },
  { phase: 'dump', afterMs: 0 },
  { phase: 'dump', afterMs: 10 },
  { phase: 'restore', afterMs: 0 },
  { phase: 'restore', afterMs: 30 },
  { phase: 'commit', afterMs: 0 },
  { phase: 'commit', afterMs: 5 },
  { phase: 'release', afterMs: 0 },
] as const;

type Fault = (pair: Pair, interrupt: () => Promise<void>) => Promise<undefined>;

const FAULTS: Record<string, Fault> = {
  'the source agent is killed': (pair) => killAgent(pair.a),
  'the target agent is killed': (pair) => killAgent(pair.b),
  'criu is killed': (pair) => killCriu(pair, '[c]riu (dump|restore)'),
  'Ctrl-C': async (_, interrupt) => void (await interrupt()),
};

let pair: Pair;
let pid = 40_000;

beforeAll(async () => {
  pair = await Pair.of(ANY_DOCKER);
});
afterEach(async () => {
  await pair.ready();
  for (const host of [pair.a, pair.b])
    await host.run('sh', ['-c', `pkill -KILL -f ${HOME}/loo[p] || :; rm -rf ${HOME}`]);
});

for (const [name, fault] of Object.entries(FAULTS)) {
  test.each(POINTS)(`${name}: $phase + $afterMs ms`, async (point) => {
    pid += 100;
    await startLoop(pair.a);
    await migrateWith(pair, point, fault, { workload: `process:${pid}` });
    await pair.ready();
    const host = await untilAtRest();
    await countsOn(host);

    const again = await pair.migrate(host, `process:${pid}`);
    expect(again.result, again.stderr + (await agentLogs(pair))).toMatchObject({ outcome: 'committed' });
    await untilAtRest();
    await countsOn(pair.other(host));
  });
}

test('a workload that ends by itself meanwhile is told of', async () => {
  pid += 100;
  await startLoop(pair.a);
  const kill: Fault = async ({ a }) => void (await a.run('sh', ['-c', `kill -9 ${pid}`]));
  const result = await migrateWith(pair, { phase: 'prepare', afterMs: 0 }, kill, { workload: `process:${pid}` });
  expect(result).toMatchObject({ outcome: 'undone', error: { code: 'WORKLOAD_ENDED' } });
  await until('nothing is left', async () => (await left()).length === 0);
});

async function startLoop(host: LabHost): Promise<void> {
  await host.run('mkdir', ['-p', HOME]);
  await writeFile(host.path(`${HOME}/loop.sh`), 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done\n');
  await startAs(host, pid, `sh ${HOME}/loop.sh`, `${HOME}/log`);
  await until('it counts', async () => (await isRunning(host)) && (await numbers(host)).length > 2);
}

/** The host that the only copy runs on, once nothing is left to be done on either. */
async function untilAtRest(): Promise<LabHost> {
  return until(
    'both sides are at rest and one copy runs',
    async () => {
      const [onA, onB] = [await isRunning(pair.a), await isRunning(pair.b)];
      if (onA === onB || (await left()).length > 0) return undefined;
      return onA ? pair.a : pair.b;
    },
    40_000,
  ).catch(async (error: Error) => {
    const state = { a: await isRunning(pair.a), b: await isRunning(pair.b), left: await left() };
    throw new Error(`${error.message}: ${JSON.stringify(state)}\n${await agentLogs(pair)}`);
  });
}

async function left(): Promise<string[]> {
  const script = `ls -A /var/lib/drayage/carried; grep drayage- /proc/${pid}/cgroup`;
  const found = await Promise.all(
    [pair.a, pair.b].map(async (host) => (await host.run('sh', ['-c', `{ ${script}; } 2>/dev/null; :`])).stdout),
  );
  return [...(await pair.leftovers()), ...found.join('').split('\n').filter(Boolean)];
}

async function countsOn(host: LabHost): Promise<void> {
  const before = (await numbers(host)).length;
  await until('it counts on', async () => (await numbers(host)).length > before + 3);
  expect(brokenAt(await numbers(host))).toBeUndefined();
}

async function numbers(host: LabHost): Promise<number[]> {
  return (await host.run('cat', [`${HOME}/log`])).stdout.split('\n').slice(0, -1).map(Number);
}

/** Frozen is not running; a zombie is nothing. */
async function isRunning(host: LabHost): Promise<boolean> {
  const script = `grep -qs "^State:.[RSD]" /proc/${pid}/status && grep -qs loop.sh /proc/${pid}/cmdline`;
  return (await host.run('sh', ['-c', script], { okCodes: [0, 1, 2] })).code === 0;
}

async function killAgent(host: LabHost): Promise<undefined> {
  await host.kill9('drayage-agent');
}
