import { expect, it } from 'vitest';
import { runner } from '../exec/run.ts';
import { surveyHost } from './host-facts.ts';

it('tells of this very host, in JSON', async () => {
  const signal = new AbortController().signal;
  const facts = await surveyHost({ run: runner(), signal, dataRoot: '/no/such/directory', drayage: '0.1.0' });
  expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
  expect(facts).toMatchObject({ docker: null, drayage: '0.1.0', kernel: expect.stringMatching(/^\d+\.\d+/) });
  expect(facts.memoryAvailable).toBeGreaterThan(1 << 20);
  expect(facts.diskAvailable).toBeGreaterThan(0);
  expect(facts.cpuFlags.length).toBeGreaterThan(5);
  expect(Number(facts.sysctls['kernel.pid_max'])).toBeGreaterThan(0);
  expect(Math.abs(facts.time - Date.now())).toBeLessThan(10_000);
});
