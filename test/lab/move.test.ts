import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { brokenAt, counts, docker, Pair, runContainer, running, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['counter', 'redis', 'nginx', 'memory']);
  });
  afterEach(() => pair.clear());

  test('a counter goes on counting on the other host, and comes back', async () => {
    const { a, b } = pair;
    await runContainer(a, 'web', 'counter', { flags: ['-p', '8080:80'] });
    await until('it counts', async () => (await counts(a, 'web')).length > 5);

    const there = await pair.migrate(a, 'web');
    expect(there.stderr).toBe('');
    expect(there.result).toMatchObject({ outcome: 'committed', keptAs: expect.stringMatching(/^web-moved-/) });
    expect(there.status).toBe(0);
    expect(await running(a)).toEqual([]);
    expect(await running(b)).toEqual(['web']);
    const before = (await counts(b, 'web')).length;
    await until('it counts on', async () => (await counts(b, 'web')).length > before + 5);

    const back = await pair.migrate(b, 'web', '--remove');
    expect(back.result).toMatchObject({ outcome: 'committed' });
    await until('it counts on', async () => (await counts(a, 'web')).length > before + 15);
    const all = await counts(a, 'web');
    expect(brokenAt(all)).toBeUndefined();
    expect(all[0]).toBeLessThanOrEqual(1);
    expect(await docker(b, 'ps', '-aq')).toBe('');
    expect(await pair.leftovers()).toEqual([]);
  });
});
