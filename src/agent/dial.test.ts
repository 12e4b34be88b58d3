import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Started, start } from '../exec/run.ts';
import { openChannel } from './channels.ts';
import { connectSsh, type SshClientOptions } from './client.ts';
import type { Connection } from './connection.ts';
import { defineProtocol } from './protocol.ts';
import { serve } from './server.ts';

/** A process that runs `drayage dial` as ssh would start it at the other end, with its stdio as pipes. */
function startDial(socketPath: string, sshConnection = ''): Started {
  const script = `
    import { dial, openStdio } from ${JSON.stringify(import.meta.resolve('./dial.ts'))};
    const [socketPath, sshConnection] = process.argv.slice(1);
    process.exit(await dial({ socketPath, sshConnection, ...openStdio() }));`;
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '--eval',
    script,
    socketPath,
    sshConnection,
  ];
  return start(process.execPath, args);
}

let dir: string;
let socketPath: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'dial-'));
  socketPath = join(dir, 'agent.sock');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('dial', () => {
  let server: net.Server;
  beforeEach(async () => {
    server = net.createServer({ allowHalfOpen: true }).listen(socketPath);
    await once(server, 'listening');
  });
  afterEach(() => void server.close());

  async function dialled(sshConnection?: string): Promise<[Started, net.Socket]> {
    const dial = startDial(socketPath, sshConnection);
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    return [dial, socket];
  }

  test('passes bytes and each end on by itself, and succeeds', async () => {
    const [dial, socket] = await dialled();
    dial.stdin.end('question');
    expect(await text(socket)).toBe('question');
    socket.end(Buffer.alloc(5_000_000, 'x'));
    expect(await text(dial.stdout)).toHaveLength(5_000_000);
    expect((await dial.exited).code).toBe(0);
  });

  test('the end of the agent reaches the other side while that still talks', async () => {
    const [dial, socket] = await dialled();
    socket.end('bye');
    expect(await text(dial.stdout)).toBe('bye');
    dial.stdin.end('more');
    expect(await text(socket)).toBe('more');
    expect((await dial.exited).code).toBe(0);
  });

  test('holds back who sends faster than the other reads', async () => {
    const [dial, socket] = await dialled();
    socket.pause();
    let written = 0;
    while (written < 64 << 20 && dial.stdin.write(Buffer.alloc(1 << 20))) written += 1 << 20;
    for (let i = 0; i < 20 && written < 64 << 20; i++) {
      const drained = await Promise.race([
        once(dial.stdin, 'drain'),
        new Promise((resolve) => setTimeout(resolve, 50)),
      ]);
      if (drained === undefined) break;
      while (dial.stdin.write(Buffer.alloc(1 << 20))) written += 1 << 20;
    }
    expect(written).toBeLessThan(32 << 20);
    dial.kill();
    socket.destroy();
    await dial.exited;
  });

  test('tells the agent from where ssh came', async () => {
    const [dial, socket] = await dialled('10.0.0.7 51234 10.0.0.8 22');
    dial.stdin.end();
    expect(await text(socket)).toBe('{"dialledFrom":"10.0.0.7"}\n');
    socket.end();
    expect((await dial.exited).code).toBe(0);
  });

  test('an agent that dies ends it', async () => {
    const [dial, socket] = await dialled();
    socket.destroy();
    await text(dial.stdout);
    dial.stdin.on('error', () => {}).end('into the void');
    expect([0, 1]).toContain((await dial.exited).code);
  });
});

test('dial without an agent says so where hello is expected', async () => {
  const dial = startDial(socketPath);
  dial.stdin.end();
  const line = await text(dial.stdout);
  expect(JSON.parse(line).error).toMatchObject({ code: 'AGENT_ABSENT' });
  expect((await dial.exited).code).toBe(69);
});

describe('connectSsh', () => {
  const protocol = defineProtocol({ methods: { hi: { params: z.object({}), result: z.string() } }, notifications: {} });
  const started: string[][] = [];
  const running: Started[] = [];

  /** In place of ssh: the dial at the other end, directly. */
  function client(overrides: Partial<SshClientOptions<typeof protocol>> = {}): Promise<Connection<typeof protocol>> {
    return connectSsh('root@hostb', {
      protocol,
      version: '1.2.3',
      controlDir: join(dir, 'ssh'),
      start: (program, args) => {
        started.push([program, ...args]);
        const dial = startDial(socketPath, '127.0.0.1 1 127.0.0.1 22');
        running.push(dial);
        return dial;
      },
      ...overrides,
    });
  }

  async function startAgent(): Promise<() => Promise<void>> {
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const served = serve({
      socketPath,
      version: '1.2.3',
      protocol,
      handlers: { hi: (_, { connection }) => connection.peer },
      channels: {
        echo: async (stream) => {
          for await (const chunk of stream) stream.write(chunk);
        },
      },
      log: () => {},
      signal: controller.signal,
      onListening: resolve,
    });
    await promise;
    return async () => {
      controller.abort();
      await served;
    };
  }

  beforeEach(() => {
    started.length = 0;
    running.length = 0;
  });

  test('calls through, and dials back to where ssh came from', async () => {
    const stop = await startAgent();
    const connection = await client({ addresses: () => [] });
    expect(await connection.call('hi', {})).toBe('127.0.0.1');
    const stream = await openChannel(connection, 'echo', {});
    stream.end('over TLS');
    expect(await text(stream)).toBe('over TLS');
    expect(started).toHaveLength(1);
    await connection.close();
    await stop();
    expect((await running[0]?.exited)?.code).not.toBeNull();
  });

  test('goes through ssh once more where it cannot be dialled', async () => {
    const stop = await startAgent();
    const dials: Started[] = [];
    const connection = await client({
      addresses: () => [],
      start: (program, args) => {
        started.push([program, ...args]);
        dials.push(startDial(socketPath));
        return dials.at(-1) as Started;
      },
    });
    const stream = await openChannel(connection, 'echo', {});
    stream.end(Buffer.alloc(2_000_000, 'x'));
    expect(await text(stream)).toHaveLength(2_000_000);
    expect(
      started.map((args) => args.find((arg) => arg.startsWith('ControlPath'))?.match(/(calls|bulk)-/)?.[1]),
    ).toEqual(['calls', 'bulk']);
    await connection.close();
    await stop();
    await Promise.all(dials.map((dial) => dial.exited));
  });

  test('no agent there is HOST_NO_AGENT', async () => {
    await expect(client()).rejects.toMatchObject({
      code: 'HOST_NO_AGENT',
      remedy: expect.stringContaining('root@hostb'),
    });
  });

  test.each([
    [127, 'bash: line 1: drayage: command not found', 'AGENT_MISSING'],
    [255, 'ssh: connect to host hostb port 22: Connection refused', 'HOST_UNREACHABLE'],
    [255, 'Host key verification failed.', 'HOST_KEY_UNKNOWN'],
    [255, 'root@hostb: Permission denied (publickey).', 'HOST_AUTH'],
  ])('ssh that ends with %s and %j is %s', async (status, stderr, code) => {
    const failing: typeof start = () => start('sh', ['-c', `echo "$1" >&2; exit ${status}`, 'ssh', stderr]);
    await expect(client({ start: failing })).rejects.toMatchObject({ code });
  });

  test('ssh that cannot be started is HOST_UNREACHABLE', async () => {
    const absent: typeof start = () => start('no-such-ssh', []);
    await expect(client({ start: absent })).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  test('a login script that prints is told from an agent', async () => {
    const chatty: typeof start = () => start('sh', ['-c', 'echo Welcome to hostb; cat >/dev/null']);
    const error = await client({ start: chatty }).catch((e) => e);
    expect(error).toMatchObject({ code: 'AGENT_PROTOCOL', message: expect.stringContaining('Welcome to hostb') });
    expect(error.remedy).toContain('startup files');
  });

  test('losing ssh ends the connection, and the shared session is not used again', async () => {
    const stop = await startAgent();
    const connection = await client();
    running[0]?.kill('SIGKILL');
    expect(await connection.closed).toMatchObject({ code: 'AGENT_LOST' });
    await vi.waitFor(() => expect(started[1]?.slice(0, 3)).toEqual(['ssh', '-O', 'stop']));
    await stop();
  });
});
