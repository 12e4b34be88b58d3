/** A replay that is cut short in the middle: by its user, or because an agent dies. Nothing of it may be left. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MigrationEvent, Phase } from '../../src/migration/events.ts';
import { record } from '../replay/typist.ts';
import { inTurn } from './faults.ts';
import { docker, inspect, Pair, running, startDrayage, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

/** A build that takes its time, after a step whose image the engine keeps. */
const SLOW_SESSION = {
  command: ['bash'],
  flags: ['-v', 'data:/data'],
  steps: ['useradd -m alice\r', 'su alice\r', 'touch /tmp/first\r', 'exit\r', 'sh -c "sleep 4; touch /root/slow"\r'],
  commands: [],
};

/** `what`: of the progress that is waited for within the phase. */
const POINTS: readonly { phase: Phase; what?: RegExp }[] = [
  { phase: 'transfer' },
  { phase: 'build', what: /sleep 4/ },
  { phase: 'verify' },
];

type Strike = (pair: Pair, interrupt: () => Promise<void>) => Promise<void>;
const CUTS: Readonly<Record<string, Strike>> = {
  'Ctrl-C': (_, interrupt) => interrupt(),
  "the target's agent is killed": ({ b }) => b.kill9('drayage-agent'),
  "the source's agent is killed": ({ a }) => a.kill9('drayage-agent'),
};

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'terminal']);
  });
  afterEach(async () => {
    await pair.ready();
    await pair.clear();
    await docker(pair.b, 'image', 'prune', '-a', '-f');
  });

  for (const [turn, [name, strike]] of Object.entries(CUTS).entries()) {
    test.each(inTurn(POINTS, version, turn))(`${name}: $phase`, async (point) => {
      const { a, b } = pair;
      await pair.clear();
      await docker(b, 'image', 'prune', '-a', '-f');
      await record(a, 'dev', SLOW_SESSION);
      const before = await thingsOf();
      const { status, result, said } = await replayCut(point, strike, '--start');
      await pair.ready();
      await until('all is taken back on both hosts', async () => (await thingsOf()) === before, 30_000).catch(
        async (error: Error) => {
          throw new Error(`${error.message}: ${await thingsOf()}, and before ${before}`);
        },
      );
      expect(await pair.leftovers()).toEqual([]);
      expect((await inspect(a, 'dev')).State.Status).toBe('exited');
      if (name === 'Ctrl-C') {
        expect(status, said.slice(-1500)).toBe(130);
        expect(result).toMatchObject({ outcome: 'undone', error: { code: 'CANCELLED' } });
      } else if (name.includes('target')) {
        expect(result).toMatchObject({ outcome: 'undone' });
      }
      await until('the history tells', async () => {
        const last = JSON.parse((await a.run('drayage', ['history', '--json'])).stdout).at(-1);
        return last.workload === 'docker:dev' && last.outcome === 'undone';
      });
      // It can be done again.
      const again = await replay('--start');
      expect(again.result, again.said).toMatchObject({ outcome: 'committed' });
      expect(await running(b)).toEqual(['dev']);
    });
  }

  test("the target's agent is killed as it finishes: both hosts tell the same", async () => {
    const { a, b } = pair;
    await record(a, 'dev', { command: ['bash'], steps: ['touch /root/x\r'], commands: [] });
    const before = await thingsOf();
    const { result, said } = await replayCut(
      { phase: 'commit' },
      ({ b: host }) => host.kill9('drayage-agent'),
      '--start',
    );
    await pair.ready();
    expect(result, said).toBeDefined();
    if (result?.outcome === 'committed') expect(await running(b)).toEqual(['dev']);
    else await until('all is taken back', async () => (await thingsOf()) === before, 30_000);
    expect(await pair.leftovers()).toEqual([]);
  });

  test('with --start: a container that takes the name meanwhile stays', async () => {
    const { a, b, lab } = pair;
    await lab.image('counter', ['b']);
    await record(a, 'dev', SLOW_SESSION);
    const { result } = await replayCut(
      { phase: 'build', what: /sleep 4/ },
      async () => void (await docker(b, 'run', '-d', '--pull=never', '--name', 'dev', 'counter')),
      '--start',
    );
    expect(result).toMatchObject({ outcome: 'undone' });
    expect(await docker(b, 'ps', '-a', '--format', '{{.Names}} {{.Image}}')).toBe('dev counter');
    expect(await running(b)).toEqual(['dev']);
  });

  test('a build that fails leaves none of its steps', async () => {
    const { a } = pair;
    // The last one failed when it was typed, too; nothing on the screen tells.
    const steps = ['cd /srv\r', 'touch first\r', 'cd /opt\r', 'touch second\r', 'cd\r', 'sh -c "exit 3"\r'];
    await record(a, 'dev', { command: ['bash'], steps, commands: [] });
    const before = await thingsOf();
    const { result } = await replay();
    expect(result).toMatchObject({ outcome: 'undone', error: { code: 'REPLAY_BUILD_FAILED' } });
    expect(await thingsOf()).toBe(before);
  });

  /** All that a replay may make on the hosts. */
  async function thingsOf(): Promise<string> {
    const found: string[] = [];
    for (const host of [pair.a, pair.b]) {
      for (const args of [
        ['images', '-aq', '--no-trunc'],
        ['ps', '-aq', '--no-trunc'],
        ['volume', 'ls', '-q'],
      ]) {
        const lines = (await docker(host, ...args)).split('\n').filter(Boolean);
        found.push(`${host.name} ${args[0]}: ${[...new Set(lines)].sort().join(' ')}`);
      }
      found.push((await host.run('sh', ['-c', 'ls -d /tmp/drayage-replay-* 2>/dev/null; true'])).stdout);
    }
    return found.join('\n');
  }

  function replay(...flags: string[]): Promise<Cut> {
    return replayCut(undefined, async () => {}, ...flags);
  }

  interface Cut {
    status: number | null;
    result: (MigrationEvent & { type: 'result' }) | undefined;
    said: string;
  }

  async function replayCut(
    point: (typeof POINTS)[number] | undefined,
    strike: Strike,
    ...flags: string[]
  ): Promise<Cut> {
    const cli = startDrayage(pair.a, ...['replay', 'docker:dev', '--to', 'root@b', '--yes', '--json', ...flags]);
    let said = '';
    let buffered = '';
    let struck: Promise<void> | undefined;
    let result: Cut['result'];
    cli.stdout.on('data', (chunk: Buffer) => {
      said += chunk;
      const lines = (buffered + chunk).split('\n');
      buffered = lines.pop() ?? '';
      for (const line of lines) {
        const event = JSON.parse(line) as MigrationEvent;
        if (event.type === 'result') result = event;
        if (point !== undefined && isAt(point, event)) struck ??= strike(pair, cli.interrupt);
      }
    });
    cli.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    const { code } = await cli.exited;
    await struck;
    if (point !== undefined) expect(struck, said.slice(-1500)).toBeDefined();
    return { status: code, result, said };
  }
});

function isAt({ phase, what }: (typeof POINTS)[number], event: MigrationEvent): boolean {
  if (what === undefined) return event.type === 'phase' && event.phase === phase;
  return event.type === 'progress' && event.phase === phase && what.test(event.what);
}
