import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DrayageError } from '../errors.ts';
import { dialBack } from './channel-dial.ts';
import { ChannelListener, type Ticket } from './channel-listener.ts';
import { ChannelStream } from './channel-stream.ts';
import { type ChannelHandler, Channels, openChannel } from './channels.ts';
import { connectLocal } from './client.ts';
import type { Connection } from './connection.ts';
import { defineProtocol } from './protocol.ts';
import { serve } from './server.ts';

const protocol = defineProtocol({ methods: {}, notifications: {} });
const version = '1.2.3';
const key = Buffer.alloc(32, 7);
const ticket: Ticket = { id: 'a'.repeat(32), key };
const count = () => ({ sent: 0, received: 0 });

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What each way of a channel must give: the two ends of one. */
const ways: Record<string, () => Promise<[ChannelStream, ChannelStream]>> = {
  'in memory': async () => {
    const [near, far] = duplexPair();
    return [
      new ChannelStream(near, { peer: 'b', count: count() }),
      new ChannelStream(far, { peer: 'a', count: count() }),
    ];
  },
  'a unix socket': async () => {
    const [near, far] = await socketPair();
    return [
      new ChannelStream(near, { peer: 'b', count: count() }),
      new ChannelStream(far, { peer: 'a', count: count() }),
    ];
  },
  TLS: async () => {
    const listener = new ChannelListener();
    cleanups.push(() => listener.close());
    const arrived = listener.expect(ticket, 1000);
    const dialled = await dialBack({ ...dialOptions(await listener.port), ticket });
    return [new ChannelStream(await arrived, { peer: 'b', count: count() }), dialled.stream];
  },
};

function dialOptions(port: number) {
  return { addresses: ['127.0.0.1'], port, ticket, signal: new AbortController().signal, peer: 'a', count: count() };
}

describe.each(Object.entries(ways))('a channel over %s', (name, make) => {
  let near: ChannelStream;
  let far: ChannelStream;
  beforeEach(async () => {
    [near, far] = await make();
    for (const stream of [near, far]) {
      stream.on('error', () => {});
      cleanups.push(() => stream.destroy());
    }
  });

  test('bytes arrive whole and in order, both ways, in pieces of any size', async () => {
    const sizes = [1, 3, 4, 5, 0, 4096, 65_536, 262_144, 262_145, 1_048_576, 7];
    const pieces = sizes.map((size, i) => Buffer.alloc(size, i + 1));
    const sent = Buffer.concat(pieces);
    for (const stream of [near, far]) {
      for (const piece of pieces) stream.write(piece);
      stream.end();
    }
    const [atFar, atNear] = await Promise.all([readAll(far), readAll(near)]);
    expect(atFar.equals(sent)).toBe(true);
    expect(atNear.equals(sent)).toBe(true);
  });

  test('one direction ends by itself, the other goes on', async () => {
    near.end('question');
    expect((await readAll(far)).toString()).toBe('question');
    await sleep(20);
    far.end('answer');
    expect((await readAll(near)).toString()).toBe('answer');
  });

  test('a slow reader gets all that was sent before a quick end', async () => {
    far.end(); // So that nothing keeps the near end open.
    near.end(Buffer.alloc(3_000_000, 1));
    await sleep(100);
    expect(await readAll(far)).toHaveLength(3_000_000);
  });

  test('who reads slowly holds back who writes', async () => {
    let written = 0;
    const piece = Buffer.alloc(1 << 20);
    while (written < 200 && near.write(piece)) written++;
    for (const until = performance.now() + 200; performance.now() < until && written < 200; ) {
      await Promise.race([once(near, 'drain'), sleep(50)]);
      while (!near.writableNeedDrain && written < 200) {
        near.write(piece);
        written++;
      }
    }
    expect(written).toBeLessThan(50);
    far.resume();
    near.end();
    await once(far, 'end');
  });

  test('destroying with an error fails the other end with that error', async () => {
    near.write('half');
    near.destroy(new DrayageError('JOURNAL_WRITE', 'The disk is full.'));
    await expect(readAll(far)).rejects.toMatchObject({ code: 'JOURNAL_WRITE', message: 'The disk is full.' });
    expect(near.destroyed).toBe(true);
  });

  test('destroying without one is a cut, never an end', async () => {
    near.write(Buffer.alloc(100_000));
    await sleep(20);
    near.destroy();
    await expect(readAll(far)).rejects.toMatchObject({ code: 'CHANNEL_CUT' });
  });

  test('consume hands on everything, also what came before it was called', async () => {
    const sent = Buffer.concat([1, 70_000, 300_000, 1_048_576, 5].map((size, i) => Buffer.alloc(size, i + 1)));
    near.write(sent.subarray(0, 50_000));
    await sleep(20);
    const pieces: Buffer[] = [];
    const consumed = far.consume((piece) => pieces.push(Buffer.from(piece)));
    near.end(sent.subarray(50_000));
    await consumed;
    expect(Buffer.concat(pieces).equals(sent)).toBe(true);
  });

  test('consume fails with what its sink throws, and with the stream', async () => {
    const full = new DrayageError('JOURNAL_WRITE', 'The disk is full.');
    const consumed = far.consume(() => {
      throw full;
    });
    near.write('x');
    await expect(consumed).rejects.toBe(full);
    await expect(readAll(near)).rejects.toMatchObject({ message: 'The disk is full.' });
    const [nearer, farther] = await make();
    nearer.on('error', () => {}).write('x');
    setTimeout(() => nearer.destroy(), 20);
    await expect(farther.consume(() => {})).rejects.toMatchObject({ code: 'CHANNEL_CUT' });
  });

  // In memory nothing is copied on the way, so there is nothing to promise.
  if (name === 'in memory') return;

  test('a buffer may be used again once its write is done', async () => {
    const buffer = Buffer.alloc(300_000);
    const reading = readAll(far);
    for (let i = 1; i <= 5; i++) {
      buffer.fill(i);
      await new Promise<void>((resolve, reject) => near.write(buffer, (error) => (error ? reject(error) : resolve())));
    }
    near.end();
    const all = await reading;
    for (let i = 1; i <= 5; i++) {
      expect(all.subarray((i - 1) * 300_000, i * 300_000).equals(Buffer.alloc(300_000, i))).toBe(true);
    }
  });
});

describe('broken frames', () => {
  test.each([
    ['an end in the middle of a frame', Buffer.from([0, 0, 0, 9, 1, 2]), true],
    ['an end in the middle of a header', Buffer.from([0, 0]), true],
    ['an end without the mark of it', Buffer.from([0, 0, 0, 1, 1]), true],
    ['a frame over 2 GiB', Buffer.from([0x80, 0, 0, 0]), false],
    ['bytes after the end', Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 1]), false],
    ['an error without end', Buffer.from([255, 255, 255, 255, 127, 255, 255, 255]), false],
  ])('%s is CHANNEL_CUT', async (_, bytes, end) => {
    const [raw, far] = duplexPair();
    const stream = new ChannelStream(far, { peer: 'a', count: count() });
    const closed = once(stream, 'close').catch((error) => error);
    stream.resume();
    raw.resume();
    raw.write(bytes);
    if (end) raw.end();
    const error = await closed;
    if (error instanceof Error) expect(error).toMatchObject({ code: 'CHANNEL_CUT' });
    else expect(stream.errored).toMatchObject({ code: 'CHANNEL_CUT' });
  });
});

describe('tickets', () => {
  let listener: ChannelListener;
  let port: number;
  beforeEach(async () => {
    listener = new ChannelListener();
    cleanups.push(() => listener.close());
    port = await listener.port;
  });

  test('a ticket is good for one connection', async () => {
    const arrived = listener.expect(ticket, 1000);
    const first = await dialBack(dialOptions(port));
    (await arrived).destroy();
    first.stream.destroy();
    listener.expect({ ...ticket, id: 'b'.repeat(32) }, 1000); // Keeps the listener from dropping everybody.
    await expect(dialBack(dialOptions(port))).rejects.toMatchObject({ code: 'CHANNEL_FAILED' });
  });

  test('a session of an earlier channel cannot be resumed without a ticket', async () => {
    const arrived = listener.expect(ticket, 1000);
    const options = {
      port,
      host: '127.0.0.1',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      checkServerIdentity: () => undefined,
    };
    const first = tls.connect({
      ...options,
      pskCallback: () => ({ psk: key, identity: ticket.id }),
    } as tls.ConnectionOptions);
    const session = once(first, 'session').then(([s]) => s as Buffer);
    (await arrived).write('x');
    first.resume();
    listener.expect({ ...ticket, id: 'b'.repeat(32) }, 1000);
    const second = tls.connect({ ...options, session: await session } as tls.ConnectionOptions);
    second.on('error', () => {}).resume();
    await once(second, 'close');
    first.destroy();
  });

  test('another key, an unknown name and an expired ticket are refused', async () => {
    listener.expect(ticket, 1000);
    const otherKey = { ...ticket, key: Buffer.alloc(32, 8) };
    await expect(dialBack({ ...dialOptions(port), ticket: otherKey })).rejects.toMatchObject({
      code: 'CHANNEL_FAILED',
    });
    const otherName = { ...ticket, id: 'c'.repeat(32) };
    await expect(dialBack({ ...dialOptions(port), ticket: otherName })).rejects.toMatchObject({
      code: 'CHANNEL_FAILED',
    });
    const late = { id: 'd'.repeat(32), key };
    await expect(listener.expect(late, 10)).rejects.toMatchObject({ code: 'CHANNEL_FAILED' });
    await expect(dialBack({ ...dialOptions(port), ticket: late })).rejects.toMatchObject({ code: 'CHANNEL_FAILED' });
    expect((await dialBack(dialOptions(port))).address).toBe('127.0.0.1');
  });

  test('strangers learn nothing and cannot crowd the port', async () => {
    const idle = net.connect(port, '127.0.0.1');
    idle.on('error', () => {}).resume();
    await once(idle, 'close'); // No ticket is out: everyone is dropped at once.
    const arrived = listener.expect(ticket, 5000);
    const crowd = Array.from({ length: 300 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    cleanups.push(() => crowd.map((socket) => socket.destroy()));
    let heard = 0;
    for (const socket of crowd) {
      socket.on('data', (chunk) => {
        heard += chunk.length;
      });
    }
    await Promise.all(crowd.map((socket) => once(socket, 'connect')));
    const { stream } = await dialBack(dialOptions(port));
    await arrived;
    expect(heard).toBe(0);
    stream.destroy();
  });

  test('addresses are tried until one lets us in, and say why they did not', async () => {
    const closed = await closedPort();
    const failure = await dialBack({ ...dialOptions(closed), addresses: ['127.0.0.1', '127.0.0.2'] }).catch((e) => e);
    expect(failure.message).toMatch(/127\.0\.0\.1.*ECONNREFUSED.*127\.0\.0\.2.*ECONNREFUSED/);
    listener.expect(ticket, 1000);
    // 192.0.2.1 is set aside for documentation: nothing answers there.
    const dialled = await dialBack({
      ...dialOptions(port),
      addresses: ['192.0.2.1', 'no.such.host.invalid', '127.0.0.1'],
    });
    expect(dialled.address).toBe('127.0.0.1');
  });
});

describe('opening over a connection of calls', () => {
  let dir: string;
  let socketPath: string;
  const stop = new Map<string, AbortController>();
  const seen: unknown[] = [];
  const log = vi.fn();
  const handlers: Record<string, ChannelHandler<Connection<typeof protocol>>> = {
    echo: async (stream, meta, { connection }) => {
      seen.push([meta, connection.peer]);
      for await (const chunk of stream) stream.write(chunk);
    },
    fail: async (stream) => {
      await once(stream, 'data');
      throw new DrayageError('JOURNAL_WRITE', 'The disk is full.');
    },
    silent: async (stream) => void (await once(stream, 'close').catch(() => {})),
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'channels-'));
    socketPath = join(dir, 'run', 'agent.sock');
    const controller = new AbortController();
    stop.set(dir, controller);
    const { promise: listening, resolve } = Promise.withResolvers<void>();
    const served = serve({
      socketPath,
      version,
      protocol,
      handlers: {},
      channels: handlers,
      log,
      signal: controller.signal,
      onListening: resolve,
    });
    await listening;
    seen.length = 0;
    log.mockClear();
    cleanups.push(async () => {
      controller.abort();
      await served;
      await rm(dir, { recursive: true, force: true });
    });
  });

  async function client(addresses: () => string[]): Promise<Connection<typeof protocol>> {
    const connection = await connectLocal(socketPath, { protocol, version, log, addresses });
    cleanups.push(() => connection.close());
    return connection;
  }

  test.each([
    ['dialled back', () => ['127.0.0.1']],
    ['through a second connection, where nothing can be dialled', () => []],
  ])('%s: works, is remembered, is counted', async (_, addresses) => {
    const connection = await client(addresses);
    for (let i = 0; i < 3; i++) {
      const stream = await openChannel(connection, 'echo', { n: i });
      stream.end(Buffer.alloc(100_000, i));
      expect(await readAll(stream)).toEqual(Buffer.alloc(100_000, i));
    }
    expect(seen).toEqual([0, 1, 2].map((n) => [{ n }, 'the command line']));
    expect(connection.channelBytes).toEqual({ sent: 300_000, received: 300_000 });
    expect(log.mock.calls.filter(([line]) => /goes through/.test(line))).toHaveLength(addresses().length === 0 ? 1 : 0);
  });

  test('an unknown purpose is refused; what a handler throws reaches the opener', async () => {
    const connection = await client(() => ['127.0.0.1']);
    await expect(openChannel(connection, 'toString', {})).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
    const stream = await openChannel(connection, 'fail', {});
    stream.write('x');
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'JOURNAL_WRITE' });
    expect(log).toHaveBeenCalledWith(expect.stringContaining('The disk is full.'));
  });

  test('channels end with their connection, at both ends', async () => {
    const connection = await client(() => ['127.0.0.1']);
    const stream = await openChannel(connection, 'silent', {});
    await connection.close();
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'AGENT_LOST' });
    await expect(openChannel(connection, 'echo', {})).rejects.toMatchObject({ code: 'AGENT_LOST' });
  });

  test('a signal ends the attempt', async () => {
    const connection = await client(() => ['127.0.0.1']);
    const signal = AbortSignal.abort();
    await expect(openChannel(connection, 'echo', {}, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('a ticket that was shown, or never given out, is refused', async () => {
    const socket = net.connect(socketPath);
    socket.write(`${JSON.stringify({ drayage: version, protocol: 1, kind: 'channel', ticket: 'x'.repeat(43) })}\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toContain('"code":"AGENT_PROTOCOL"');
    await once(socket, 'close');
  });
});

async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function socketPair(): Promise<[net.Socket, net.Socket]> {
  const dir = await mkdtemp(join(tmpdir(), 'channel-'));
  const server = net.createServer({ allowHalfOpen: true }).listen(join(dir, 's'));
  await once(server, 'listening');
  const near = net.connect({ path: join(dir, 's'), allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [net.Socket];
  server.close();
  await rm(dir, { recursive: true, force: true });
  return [near, far];
}

async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

test('a connection that is lost when its channel has been dialled, and is not there yet, fails that', async () => {
  const lost = new AbortController();
  const calls = {
    ...{ connection: undefined, peer: 'b', signal: lost.signal, log: () => {} },
    open: async () => ({ way: 'dialled' as const, address: '127.0.0.1' }),
  };
  const opened = new Channels(calls, {}).open('files', {});
  opened.catch(() => {});
  await sleep(50); // Who has dialled has ended before its handshake.
  lost.abort(new DrayageError('AGENT_LOST', 'it closed the connection'));
  await expect(opened).rejects.toMatchObject({ code: 'AGENT_LOST' });
});

test('a channel over what was closed before says so', async () => {
  const [near] = duplexPair();
  near.destroy();
  await once(near, 'close');
  const channel = new ChannelStream(near, { peer: 'b', count: count() });
  const [error] = await once(channel, 'error');
  expect(error).toMatchObject({ code: 'CHANNEL_CUT' });
});
