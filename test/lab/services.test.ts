/** Services that people run, moved there and back: what they hold and how they serve is as it was. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { docker, logs, Pair, runContainer, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['redis', 'nginx', 'memory', 'counter']);
  });
  afterEach(() => pair.clear());

  test('redis keeps every key, and serves as before', async () => {
    const { a, b } = pair;
    const command = ['redis-server', '--save', '', '--protected-mode', 'no', '--enable-debug-command', 'yes'];
    await runContainer(a, 'cache', 'redis', { flags: ['-p', '6379:6379'], command });
    await until('it answers', async () => (await redis(a, 'PING')) === 'PONG');
    const fill = `for i = 1, 5000 do redis.call('set', 'key:' .. i, i .. string.rep('x', 1000)) end
      redis.call('hset', 'h', 'field', 'value') redis.call('set', 'fleeting', '1', 'EX', '3600')`;
    await redis(a, 'EVAL', fill, '0');
    await benchmark(a);
    const digest = await redis(a, 'DEBUG', 'DIGEST');
    expect(digest).toMatch(/^[0-9a-f]{40}$/);

    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const size = await redis(from, 'DBSIZE');
      const before = await redis(from, 'DEBUG', 'DIGEST');
      await pair.move(from, 'cache', '--drop-connections', ...(from === b ? ['--remove'] : []));
      expect(await redis(to, 'DEBUG', 'DIGEST')).toBe(before);
      expect(await redis(to, 'DBSIZE')).toBe(size);
      expect(await redis(to, 'STRLEN', 'key:4711')).toBe('1004');
      expect(Number(await redis(to, 'TTL', 'fleeting'))).toBeGreaterThan(3500);
      // From outside, through the published port.
      await benchmark(to);
    }
    expect(await pair.leftovers()).toEqual([]);
  });

  test('nginx serves its page, and reloads', async () => {
    const { a, b } = pair;
    await runContainer(a, 'site', 'nginx', { flags: ['-p', '80:80'] });
    const page = await until('it serves', () => fetchFrom(a));
    expect(page).toContain('wherever here is');
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      await pair.move(from, 'site');
      expect(await until('it serves', () => fetchFrom(to), 3000)).toBe(page);
      const workers = await nginxWorkers(to);
      expect(workers).toHaveLength(2);
      await docker(to, 'kill', '-s', 'HUP', 'site');
      await until('new workers took over', async () => {
        const now = await nginxWorkers(to);
        return now.length === 2 && now.every((pid) => !workers.includes(pid));
      });
      expect(await fetchFrom(to)).toBe(page);
    }
    // SIGQUIT, as the image asks for, ends it in order.
    await docker(a, 'stop', 'site');
    expect(await docker(a, 'inspect', '-f', '{{.State.ExitCode}}', 'site')).toBe('0');
  });

  test('memory that changes all the time is the same memory', async () => {
    const { a, b } = pair;
    await runContainer(a, 'mem', 'memory', { command: ['mem.py', '64', '500'] });
    await until('it holds its memory', async () => (await steps(a)).length > 5);
    await pair.move(a, 'mem');
    await until('it goes on', async () => (await steps(b)).length > 15);
    await pair.move(b, 'mem');
    await until('it goes on', async () => (await steps(a)).length > 25);
    expect(await logs(a, 'mem')).not.toContain('MISMATCH');
    const all = await steps(a);
    // A line comes every 0.1 s, which is at most 50 steps, whatever happened in between.
    const gaps = all.slice(1).map((step, index) => step - (all[index] as number));
    expect(Math.min(...gaps)).toBeGreaterThan(0);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60);
  });
});

/** One answer, over the loopback of the container. */
function redis(host: LabHost, ...command: string[]): Promise<string> {
  return docker(host, 'exec', 'cache', 'redis-cli', ...command);
}

/** From outside the container, through the published port; throws where a request fails. */
async function benchmark(host: LabHost): Promise<void> {
  const args = ['redis-benchmark', '-h', host.address, '-n', '500', '-c', '10', '-t', 'set,get,lpush', '-q'];
  const out = await docker(host, 'run', '--rm', '--pull=never', '--network', 'host', 'redis', ...args);
  expect(out.match(/requests per second/g)).toHaveLength(3);
}

/** The page as another machine gets it. */
async function fetchFrom(host: LabHost): Promise<string> {
  const { stdout } = await host.run('busybox', ['wget', '-q', '-T', '2', '-O', '-', `http://${host.address}/`]);
  return stdout;
}

async function nginxWorkers(host: LabHost): Promise<string[]> {
  const top = await docker(host, 'top', 'site', '-o', 'pid,args');
  return top
    .split('\n')
    .filter((line) => line.includes('worker process') && !line.includes('shutting down'))
    .map((line) => line.trim().split(/\s+/)[0] as string);
}

async function steps(host: LabHost): Promise<number[]> {
  return [...(await logs(host, 'mem')).matchAll(/^step (\d+)$/gm)].map(([, step]) => Number(step));
}
