import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { connectLocal } from './client.ts';
import type { Connection } from './connection.ts';
import { hearHello, sayHello, welcome } from './hello.ts';
import { defineProtocol } from './protocol.ts';
import { serve } from './server.ts';

const protocol = defineProtocol({ methods: { hi: { params: z.object({}), result: z.string() } }, notifications: {} });
const version = '1.2.3';

let dir: string;
let socketPath: string;
const log = vi.fn();
let agent: { stop(): Promise<void> } | undefined;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'server-'));
  socketPath = join(dir, 'run', 'agent.sock');
  log.mockClear();
});
afterEach(async () => {
  await agent?.stop();
  agent = undefined;
  await rm(dir, { recursive: true, force: true });
});

async function startAgent(): Promise<{ stop(): Promise<void> }> {
  const controller = new AbortController();
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const handlers = { hi: (_: object, { connection }: { connection: Connection<typeof protocol> }) => connection.peer };
  const served = serve({
    socketPath,
    version,
    protocol,
    handlers,
    log,
    signal: controller.signal,
    onListening: resolve,
  });
  await Promise.race([listening, served]);
  return {
    stop: async () => {
      controller.abort();
      await served;
    },
  };
}

const rpc = (from: 'cli' | 'agent') => ({ kind: 'rpc', from }) as const;

describe('the socket', () => {
  test('is private, serves, and is gone at the end; connections end cleanly with it', async () => {
    agent = await startAgent();
    expect((await stat(join(dir, 'run'))).mode & 0o777).toBe(0o700);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    const connection = await connectLocal(socketPath, { protocol, version });
    expect(await connection.call('hi', {})).toBe('the command line');
    await agent.stop();
    expect(await connection.closed).toBeUndefined();
    await expect(stat(socketPath)).rejects.toThrow('ENOENT');
    await expect(connectLocal(socketPath, { protocol, version })).rejects.toMatchObject({ code: 'AGENT_ABSENT' });
  });

  test('of a dead agent is replaced; that of a living one is not', async () => {
    await mkdir(join(dir, 'run'));
    const dead = net.createServer().listen(join(dir, 'run', 'other'));
    await once(dead, 'listening');
    // A socket file without anyone behind it, as kill -9 leaves one.
    const { rename } = await import('node:fs/promises');
    await rename(join(dir, 'run', 'other'), socketPath);
    dead.close();
    await expect(connectLocal(socketPath, { protocol, version })).rejects.toMatchObject({ code: 'AGENT_ABSENT' });
    agent = await startAgent();
    await expect(startAgent()).rejects.toMatchObject({ code: 'AGENT_RUNNING' });
    const connection = await connectLocal(socketPath, { protocol, version });
    expect(await connection.call('hi', {})).toBe('the command line');
    await connection.close();
  });

  test('a file in its place is not removed', async () => {
    await mkdir(join(dir, 'run'));
    await writeFile(socketPath, 'precious');
    await expect(startAgent()).rejects.toMatchObject({ code: 'AGENT_RUNNING' });
    expect((await stat(socketPath)).size).toBe(8);
  });

  test('that may not be opened is AGENT_DENIED', async () => {
    agent = await startAgent();
    await chmod(socketPath, 0);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534); // Root may open everything.
    try {
      await expect(connectLocal(socketPath, { protocol, version })).rejects.toMatchObject({ code: 'AGENT_DENIED' });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});

describe('whoever does not say hello', () => {
  test.each([
    ['an HTTP client', 'GET / HTTP/1.1\r\n\r\n', 'AGENT_PROTOCOL', 'GET / HTTP/1.1'],
    ['a line without end', 'x'.repeat(10_000), 'AGENT_PROTOCOL', 'xxx'],
    ['binary', Buffer.from([0, 1, 2, 255, 10]), 'AGENT_PROTOCOL', 'did not say hello'],
    ['JSON of another kind', '{"hello":true}\n', 'AGENT_PROTOCOL', 'did not say hello'],
    ['another protocol', '{"drayage":"9.0.0","protocol":9,"kind":"rpc","from":"cli"}\n', 'AGENT_VERSION', '9.0.0'],
    ['a later protocol with another hello', '{"drayage":"9.0.0","protocol":9}\n', 'AGENT_VERSION', '9.0.0'],
    [
      'an agent of another version',
      '{"drayage":"1.2.4","protocol":1,"kind":"rpc","from":"agent"}\n',
      'AGENT_VERSION',
      '1.2.4',
    ],
  ])('%s gets one line that says so, and the agent goes on', async (_, bytes, code, says) => {
    agent = await startAgent();
    const socket = net.connect(socketPath);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.write(bytes);
    await once(socket, 'end');
    expect(answer.endsWith('\n')).toBe(true);
    expect(JSON.parse(answer).error).toMatchObject({ code, message: expect.stringContaining(says) });
    expect(log).toHaveBeenCalledTimes(1);
    const connection = await connectLocal(socketPath, { protocol, version });
    expect(await connection.call('hi', {})).toBe('the command line');
    await connection.close();
  });

  test('a command line of another version is served, as long as the protocol is the same', async () => {
    agent = await startAgent();
    const connection = await connectLocal(socketPath, { protocol, version: '2.0.0' });
    expect(await connection.call('hi', {})).toBe('the command line');
    await connection.close();
    const dialled = connectLocal(socketPath, { protocol, version: '2.0.0', from: 'agent' });
    await expect(dialled).rejects.toMatchObject({ code: 'AGENT_VERSION' });
  });
});

describe('hello', () => {
  const options = { version, peer: 'hostb', timeoutMs: 50 };

  test('both learn of each other, and what follows the line stays in the stream', async () => {
    const [near, far] = duplexPair();
    near.write('{"dialledFrom":"10.0.0.7"}\n');
    const said = sayHello(near, rpc('agent'), options);
    near.write('first bytes');
    expect(await hearHello(far, options)).toMatchObject({ hello: rpc('agent'), dialledFrom: '10.0.0.7' });
    welcome(far, version);
    far.write('and back');
    expect(await said).toEqual({ version });
    expect(String((await once(far, 'data'))[0])).toBe('first bytes');
    expect(String((await once(near, 'data'))[0])).toBe('and back');
  });

  test.each([
    ['says nothing', () => {}, 'AGENT_TIMEOUT', '0.05 s'],
    ['hangs up', (far: Duplex) => far.end(), 'AGENT_LOST', 'without a word'],
    ['breaks off', (far: Duplex) => far.end('{"dray'), 'AGENT_LOST', 'in the middle'],
    ['greets first', (far: Duplex) => far.write('Welcome to hostb!\n'), 'AGENT_PROTOCOL', 'Welcome to hostb!'],
    ['is of another version', (far: Duplex) => welcome(far, '0.9.0'), 'AGENT_VERSION', '0.9.0'],
    [
      'has an error to tell',
      (far: Duplex) => far.write('{"error":{"code":"AGENT_ABSENT","message":"m","meaning":"x","remedy":"y"}}\n'),
      'AGENT_ABSENT',
      'm',
    ],
  ])('an agent that %s', async (_, act, code, says) => {
    const [near, far] = duplexPair();
    far.on('error', () => {}).resume();
    const said = sayHello(near, rpc('agent'), options);
    act(far);
    await expect(said).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
    expect(near.destroyed).toBe(true);
  });

  test('a signal ends the wait', async () => {
    const [near] = duplexPair();
    const said = sayHello(near, rpc('agent'), { ...options, signal: AbortSignal.abort() });
    await expect(said).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
