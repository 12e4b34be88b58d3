import { expect, test } from 'vitest';
import { ProgramError, runner } from './run.ts';

const run = runner();

test('gives output, input and exit status', async () => {
  expect(await run('sh', ['-c', 'cat; echo oh >&2'], { input: 'hello' })).toMatchObject({
    stdout: 'hello',
    stderr: 'oh\n',
    code: 0,
  });
  expect((await run('sh', ['-c', 'exit 3'], { okCodes: [0, 3] })).code).toBe(3);
});

test.each([
  ['a status', 'sh', ['-c', 'echo why >&2; exit 3'], /failed with exit status 3: why/],
  ['a signal', 'sh', ['-c', 'kill -9 $$'], /was ended by SIGKILL/],
  ['no such program', '/no/such/program', [], /cannot be started/],
])('%s is a ProgramError', async (_, program, args, message) => {
  const error = await run(program, args).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProgramError);
  expect((error as Error).message).toMatch(message);
});

test('arguments reach the program as they are', async () => {
  const odd = ['a b', '$HOME', '"', "'", '*', ''];
  expect((await run('printf', ['%s|', ...odd])).stdout).toBe(`${odd.join('|')}|`);
});

test('it is killed when its time is over, and when it is cancelled', async () => {
  await expect(run('sleep', ['10'], { timeoutMs: 50 })).rejects.toThrow(/did not end within 50 ms/);
  const cancel = new AbortController();
  const running = runner({ signal: cancel.signal })('sleep', ['10']);
  cancel.abort(new Error('no more'));
  await expect(running).rejects.toThrow('no more');
});

test('a program that leaves something running, which holds its streams, is over all the same', async () => {
  const { stdout, ms } = await run('sh', ['-c', 'sleep 20 & echo here']);
  expect(stdout).toBe('here\n');
  expect(ms).toBeLessThan(5000);
});

test('everything that ran is told', async () => {
  const told: string[] = [];
  await runner({ record: (program) => told.push(program) })('true', []);
  expect(told).toEqual(['true']);
});
