/** Against real processes: this test's own children, with which any machine can be had. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Run, type Started, start } from '../exec/run.ts';
import type { ProcessFacts } from './facts.ts';
import { surveyProcesses } from './processes.ts';

let directory: string;
let children: Started[];
let server: Server;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drayage-processes-'));
  children = [];
  server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ exited }) => exited));
  server.close();
  await rm(directory, { recursive: true });
});

const SIGNAL = new AbortController().signal;
/** ss finds no peers: libuv's pipes to a child are pairs of unix sockets whose other ends are here. */
const run: Run = async () => ({ stdout: '', stderr: '', code: 0, ms: 0 });
const OPTIONS = { signal: SIGNAL, run };

/** A process that runs JavaScript and then waits, in a session of its own: that of the tests may begin out of sight. */
async function child(code: string): Promise<number> {
  const started = start('setsid', [
    process.execPath,
    '-e',
    `${code}; console.log('ready'); setInterval(() => {}, 1e6)`,
  ]);
  children.push(started);
  await new Promise((resolve) => started.stdout.once('data', resolve));
  return started.pid ?? 0;
}

const kinds = ({ obstacles }: ProcessFacts): string[] => [...new Set(obstacles.map(({ kind }) => kind))].sort();

it('finds nothing to object to in a plain process, and its memory', async () => {
  const pid = await child('globalThis.held = Buffer.alloc(50e6, 1)');
  const { processes, memoryBytes } = await surveyProcesses([pid], OPTIONS);
  expect(processes).toMatchObject([{ pid, name: expect.stringMatching(/node|MainThread/) }]);
  expect(processes.flatMap(kinds).filter((kind) => kind !== 'io-uring')).toEqual([]);
  expect(memoryBytes).toBeGreaterThan(50e6);
  expect(memoryBytes).toBeLessThan(500e6);
});

it('finds connections, and only those of the processes asked for', async () => {
  const { port } = server.address() as { port: number };
  const connected = await child(`require('net').connect(${port}, '127.0.0.1')`);
  const other = await child('');
  await expect.poll(async () => (await survey(connected)).flatMap(kinds)).toContain('tcp-established');
  expect((await survey(other)).flatMap(kinds)).not.toContain('tcp-established');
});

it('finds a deleted file that is open and large', async () => {
  const path = join(directory, 'gone');
  const file = await open(path, 'w');
  await file.writeFile(Buffer.alloc(3 << 20, 1));
  await file.close();
  const pid = await child(`require('fs').openSync('${path}'); require('fs').unlinkSync('${path}')`);
  const [facts] = await survey(pid);
  expect(facts?.obstacles).toContainEqual({ kind: 'large-deleted-file', detail: `${path}, 3.0 MiB` });
});

it('leaves out a process that has ended, and stops when told to', async () => {
  const pid = await child('');
  expect(await surveyProcesses([4_194_304 + 1, pid], OPTIONS)).toMatchObject({ processes: [{ pid }] });
  expect(await surveyProcesses('/sys/fs/cgroup/no/such/group', OPTIONS)).toEqual({
    processes: [],
    memoryBytes: 0,
  });
  await expect(surveyProcesses([pid], { signal: AbortSignal.abort() })).rejects.toThrow();
});

async function survey(...pids: number[]): Promise<ProcessFacts[]> {
  return (await surveyProcesses(pids, OPTIONS)).processes;
}
