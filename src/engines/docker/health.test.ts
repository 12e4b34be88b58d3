import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Docker } from '../../tools/docker.ts';
import type { ContainerConfig, ContainerInspect } from '../../tools/docker-types.ts';
import { type Health, healthOf, untilHealthy } from './health.ts';

const SECOND = 1e9;

describe('healthOf', () => {
  it.each<[string, ContainerConfig, string | undefined, Partial<Health>]>([
    ['no check', {}, undefined, { by: 'running' }],
    ['one that was turned off', { Healthcheck: { Test: ['NONE'] } }, undefined, { by: 'running' }],
    [
      'a program',
      { Healthcheck: { Test: ['CMD', 'ping', '-c', '1'] } },
      undefined,
      // Three times an interval and a timeout, of 30 s each.
      { by: 'healthcheck', command: ['ping', '-c', '1'], limitMs: 180_000 },
    ],
    [
      'a line for the shell',
      { Healthcheck: { Test: ['CMD-SHELL', 'true && true'], Interval: SECOND, Timeout: SECOND, Retries: 2 } },
      undefined,
      { by: 'healthcheck', command: ['/bin/sh', '-c', 'true && true'], limitMs: 30_000 },
    ],
    [
      'a shell of its own, and a long time to begin',
      { Healthcheck: { Test: ['CMD-SHELL', 'x'], StartPeriod: 3600 * SECOND }, Shell: ['/bin/ash', '-ec'] },
      undefined,
      { by: 'healthcheck', command: ['/bin/ash', '-ec', 'x'], limitMs: 600_000 },
    ],
    ['an address', { Healthcheck: { Test: ['CMD', 'false'] } }, 'http://x/', { by: 'url', url: 'http://x/' }],
  ])('%s', (_, config, url, expected) => {
    expect(healthOf(config, url)).toMatchObject(expected);
  });
});

describe('untilHealthy', () => {
  type State = Partial<ContainerInspect['State']>;
  /** An engine with one container; its last state stays. */
  const engine = (states: State[], exec: () => Promise<number> = async () => 1): Docker => {
    const next = () => (states.length > 1 ? states.shift() : states[0]);
    return { inspect: async () => ({ State: { Running: true, ExitCode: 0, ...next() } }), exec } as unknown as Docker;
  };
  const check = (limitMs: number): Health => ({ by: 'healthcheck', command: ['x'], timeoutMs: 1000, limitMs });
  const wait = (docker: Docker, health: Health, signal = new AbortController().signal) =>
    untilHealthy(docker, 'id', health, signal);

  it('a program that ends is told with its status', async () => {
    const ended = wait(engine([{}, { Running: false, ExitCode: 7 }]), { by: 'running', limitMs: 3000 });
    await expect(ended).rejects.toMatchObject({ code: 'NOT_HEALTHY', message: expect.stringContaining('status 7') });
  });

  it('a check succeeds when its command does, before the engine has run it', async () => {
    const answers = [1, 1, 0];
    await wait(
      engine([{ Health: { Status: 'starting' } }], async () => answers.shift() ?? 9),
      check(5000),
    );
    expect(answers).toEqual([]);
  });

  it('a check that the engine has given up', async () => {
    const states: State[] = [{ Health: { Status: 'starting' } }, { Health: { Status: 'unhealthy' } }];
    await expect(wait(engine(states), check(5000))).rejects.toMatchObject({ code: 'NOT_HEALTHY' });
  });

  it('a check that cannot be run, for too long', async () => {
    const exec = () => Promise.reject(new Error('no such program'));
    const given = wait(engine([{}], exec), check(300));
    await expect(given).rejects.toMatchObject({ message: expect.stringMatching(/no such program.*for 0 s/) });
  });

  it('an address answers, at first not well', async () => {
    const statuses = [500, 302];
    const server = createServer((_, response) => response.writeHead(statuses.shift() ?? 500).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await wait(engine([{}]), { by: 'url', url, limitMs: 5000 });
    expect(statuses).toEqual([]);
    server.close();
    const refused = wait(engine([{}]), { by: 'url', url, limitMs: 10 });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_HEALTHY', message: expect.stringContaining(url) });
  });

  it('waits no longer than somebody wants to know', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 30);
    await expect(wait(engine([{}]), check(60_000), controller.signal)).rejects.toThrow('enough');
  });
});
