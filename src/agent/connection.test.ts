import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair, Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { MAX_MESSAGE_BYTES } from './messages.ts';
import { defineProtocol, type Handlers } from './protocol.ts';

const protocol = defineProtocol({
  methods: {
    add: { params: z.object({ a: z.number(), b: z.number() }), result: z.number() },
    forget: { params: z.object({}), result: z.undefined() },
    fail: { params: z.object({ how: z.string() }), result: z.null() },
    wait: { params: z.object({}), result: z.string() },
    grow: { params: z.object({ bytes: z.number() }), result: z.string() },
    wrong: { params: z.object({}), result: z.number() },
    unserved: { params: z.object({}), result: z.null() },
  },
  notifications: { event: z.object({ n: z.number() }) },
});
type Ours = typeof protocol;

/** What each kind of transport must give: two ends of one byte stream. */
const transports: Record<string, () => Promise<[Duplex, Duplex]>> = {
  'in memory': async () => duplexPair(),
  'a unix socket': async () => {
    const dir = await mkdtemp(join(tmpdir(), 'connection-'));
    const server = net.createServer({ allowHalfOpen: true }).listen(join(dir, 's'));
    await once(server, 'listening');
    const near = net.connect({ path: join(dir, 's'), allowHalfOpen: true });
    const [far] = (await once(server, 'connection')) as [net.Socket];
    server.close();
    await rm(dir, { recursive: true, force: true });
    return [near, far];
  },
};

const open: Connection<Ours>[] = [];
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(open.splice(0).map((connection) => connection.close()));
});

const seenByHandler: { started?: boolean; reason?: unknown } = {};
const handlers: Handlers<Ours, Connection<Ours>> = {
  add: ({ a, b }) => a + b,
  forget: () => undefined,
  fail: ({ how }) => {
    if (how === 'plain') throw new TypeError('x is not a function');
    throw new DrayageError('JOURNAL_WRITE', 'It is full.', { remedy: 'Make room.', cause: new Error('ENOSPC') });
  },
  wait: async (_, { signal }) => {
    seenByHandler.started = true;
    await once(signal, 'abort');
    seenByHandler.reason = signal.reason;
    throw signal.reason;
  },
  grow: ({ bytes }) => 'x'.repeat(bytes),
  wrong: () => 'seven' as unknown as number,
};

type Options = Partial<ConnectionOptions<Ours>>;

function pair([near, far]: [Duplex, Duplex], nearOptions: Options = {}, farOptions: Options = {}) {
  const client = new Connection(near, { protocol, peer: 'hostb', ...nearOptions });
  const server = new Connection(far, { protocol, peer: 'hosta', handlers, ...farOptions });
  open.push(client, server);
  return { client, server };
}

describe.each(Object.entries(transports))('over %s', (_, transport) => {
  test('a call gives its result, also none at all', async () => {
    const { client } = pair(await transport());
    expect(await client.call('add', { a: 2, b: 3 })).toBe(5);
    expect(await client.call('forget', {})).toBeUndefined();
    expect(await client.call('grow', { bytes: 3_000_000 })).toHaveLength(3_000_000);
  });

  test('many calls at once get each their own answer', async () => {
    const { client } = pair(await transport());
    const sums = await Promise.all(Array.from({ length: 200 }, (_, i) => client.call('add', { a: i, b: 1 })));
    expect(sums).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });

  test('a DrayageError arrives as it was thrown; another is INTERNAL and is logged', async () => {
    const log = vi.fn();
    const { client } = pair(await transport(), {}, { log });
    const error = await client.call('fail', { how: 'full' }).catch((e) => e);
    expect(error).toBeInstanceOf(DrayageError);
    expect(error).toMatchObject({ code: 'JOURNAL_WRITE', message: 'It is full.', remedy: 'Make room.' });
    expect(error.cause.message).toBe('ENOSPC');
    expect(log).not.toHaveBeenCalled();
    await expect(client.call('fail', { how: 'plain' })).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(log).toHaveBeenCalledWith(expect.stringContaining('TypeError'));
  });

  test('parameters and results are checked at the border', async () => {
    const { client, server } = pair(await transport());
    await expect(client.call('add', { a: 'two' as never, b: 3 })).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(client.call('wrong', {})).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(client.call('unserved', {})).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
    await expect(client.call('hasOwnProperty' as never, {} as never)).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
    await expect(server.call('add', { a: 1, b: 1 })).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
  });

  test('cancelling rejects at once and aborts the handler', async () => {
    const { client } = pair(await transport());
    const controller = new AbortController();
    const call = client.call('wait', {}, { signal: controller.signal });
    await client.call('add', { a: 1, b: 1 }); // The handler runs by now.
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await vi.waitFor(() => expect(seenByHandler.reason).toMatchObject({ code: 'CANCELLED' }));
    await expect(client.call('wait', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await client.call('add', { a: 1, b: 1 })).toBe(2);
  });

  test('a call that takes too long is AGENT_TIMEOUT, and cancelled, also before it has begun', async () => {
    const { client } = pair(await transport());
    for (const timeoutMs of [50, 0]) {
      delete seenByHandler.reason;
      delete seenByHandler.started;
      await expect(client.call('wait', {}, { timeoutMs })).rejects.toMatchObject({ code: 'AGENT_TIMEOUT' });
      await client.call('add', { a: 1, b: 1 }); // The cancellation has arrived by now.
      await vi.waitFor(() =>
        expect(seenByHandler.reason !== undefined || seenByHandler.started === undefined).toBe(true),
      );
    }
  });

  test('notifications arrive in order and before the answer that follows them', async () => {
    const seen: number[] = [];
    const { client, server } = pair(await transport(), {
      handlers: {
        add: async (_, { connection }) => {
          for (let n = 0; n < 50; n++) await connection.notify('event', { n });
          return 0;
        },
      },
    });
    const listening = server.onNotification('event', ({ n }) => seen.push(n));
    await server.call('add', { a: 0, b: 0 });
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => n));
    listening[Symbol.dispose]();
    await client.notify('event', { n: 51 });
    await client.call('add', { a: 0, b: 0 });
    expect(seen).toHaveLength(50);
  });

  test('close is clean for both; what waits ends with AGENT_LOST', async () => {
    const { client, server } = pair(await transport());
    const call = client.call('wait', {}).catch((e) => e);
    await client.call('add', { a: 1, b: 1 });
    delete seenByHandler.reason;
    await client.close();
    expect(await call).toMatchObject({ code: 'AGENT_LOST' });
    expect(await client.closed).toBeUndefined();
    expect(await server.closed).toBeUndefined();
    await vi.waitFor(() => expect(seenByHandler.reason).toMatchObject({ code: 'AGENT_LOST' }));
    await expect(client.call('add', { a: 1, b: 1 })).rejects.toMatchObject({ code: 'AGENT_LOST' });
    await expect(client.notify('event', { n: 1 })).rejects.toMatchObject({ code: 'AGENT_LOST' });
  });

  test('an end without farewell is AGENT_LOST: calls, handlers and signal', async () => {
    const [near, far] = await transport();
    const { client, server } = pair([near, far]);
    const call = client.call('wait', {}).catch((e) => e);
    await client.call('add', { a: 1, b: 1 });
    far.destroy();
    expect(await call).toMatchObject({ code: 'AGENT_LOST', message: expect.stringContaining('hostb') });
    expect(await client.closed).toMatchObject({ code: 'AGENT_LOST' });
    expect(await server.closed).toMatchObject({ code: 'AGENT_LOST' });
    expect(client.signal.reason).toMatchObject({ code: 'AGENT_LOST' });
  });

  test('an answer that came right before the end of the stream counts', async () => {
    const [near, far] = await transport();
    const { client } = pair([near, far], {}, { handlers: { ...handlers, wait: () => 'done' } });
    const write = far.write.bind(far);
    far.write = ((...args: Parameters<typeof write>) => {
      const more = write(...args);
      far.end();
      return more;
    }) as typeof far.write;
    expect(await client.call('wait', {})).toBe('done');
    expect(await client.closed).toMatchObject({ code: 'AGENT_LOST' });
  });

  test.each([
    ['garbage', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'no length'],
    ['a header without end', 'x'.repeat(3000), 'no end'],
    ['a message that is too large', `Content-Length: ${MAX_MESSAGE_BYTES + 1}\r\n\r\n`, 'too large'],
    ['a body that is not JSON', 'Content-Length: 4\r\n\r\nabcd', 'not JSON'],
    ['a body that is no object', 'Content-Length: 4\r\n\r\nnull', 'not an object'],
    ['a cancellation of nothing', 'Content-Length: 46\r\n\r\n{"jsonrpc":"2.0", "method":"$/cancelRequest" }', ''],
  ])('%s ends the connection, with an error that says so', async (_name, bytes, says) => {
    const [near, far] = await transport();
    const server = new Connection(far, { protocol, peer: 'hosta', handlers });
    open.push(server);
    near.on('error', () => {}).resume();
    near.write(bytes);
    const error = await server.closed;
    expect(error).toMatchObject({ code: 'AGENT_LOST' });
    expect(error?.message).toContain(says);
  });

  test('a result that is too large fails its call, not the connection', async () => {
    const { client } = pair(await transport());
    await expect(client.call('grow', { bytes: MAX_MESSAGE_BYTES })).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
    const params = { how: 'x'.repeat(MAX_MESSAGE_BYTES) };
    await expect(client.call('fail', params)).rejects.toMatchObject({ code: 'AGENT_PROTOCOL' });
    expect(await client.call('add', { a: 1, b: 1 })).toBe(2);
  });

  test('messages that come a byte at a time are understood', async () => {
    const [near, far] = await transport();
    const server = new Connection(far, { protocol, peer: 'hosta', handlers });
    open.push(server);
    const body = '{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"b":2}}';
    let answer = '';
    near.on('data', (chunk) => {
      answer += chunk;
    });
    for (const byte of Buffer.from(`Content-Length: ${body.length}\r\n\r\n${body}`)) near.write(Buffer.of(byte));
    await vi.waitFor(() => expect(answer).toContain('{"value":3}'));
  });
});

describe('heartbeat', () => {
  const heartbeatOptions = { intervalMs: 20, misses: 4 };
  const fast: Options = { heartbeatOptions };

  test('keeps an idle connection, also where only one side asked for it', async () => {
    const { client, server } = pair(duplexPair(), { ...fast, heartbeat: true }, fast);
    await sleep(200);
    expect(client.signal.aborted || server.signal.aborted).toBe(false);
  });

  test('a peer that says nothing is lost', async () => {
    const [near, far] = duplexPair();
    far.resume();
    const client = new Connection(near, { protocol, peer: 'hostb', heartbeat: true, ...fast });
    const call = client.call('wait', {}).catch((e) => e);
    expect(await client.closed).toMatchObject({ code: 'AGENT_LOST', message: expect.stringContaining('nothing came') });
    expect(await call).toMatchObject({ code: 'AGENT_LOST' });
  });

  test.each(['near', 'far'] as const)('a cut of the direction to the %s end is noticed by both', async (deaf) => {
    const cut = { near: false, far: false };
    const [near, far] = lossyPair(cut);
    const { client, server } = pair([near, far], { ...fast, heartbeat: true }, fast);
    expect(await client.call('add', { a: 1, b: 1 })).toBe(2);
    await sleep(60);
    cut[deaf] = true;
    const errors = await Promise.all([client.closed, server.closed]);
    expect(errors.map((e) => e?.code)).toEqual(['AGENT_LOST', 'AGENT_LOST']);
    for (const error of errors) expect(error?.message).toMatch(/nothing came|heard nothing from here/);
  });

  test('a process that was stopped for long does not call the other side lost', async () => {
    const { client } = pair(duplexPair(), { ...fast, heartbeat: true }, fast);
    await sleep(50);
    const until = performance.now() + 300;
    while (performance.now() < until); // Both ends live in this process: none ticks.
    await sleep(100);
    expect(client.signal.aborted).toBe(false);
  });
});

/** Two ends between which a direction can be made to swallow everything, the end of the stream included. */
function lossyPair(cut: { near: boolean; far: boolean }): [Duplex, Duplex] {
  const [near, nearWire] = duplexPair();
  const [far, farWire] = duplexPair();
  const valve = (to: 'near' | 'far') =>
    new Transform({ transform: (chunk, _, done) => done(null, cut[to] ? undefined : chunk) });
  nearWire.pipe(valve('far')).pipe(farWire, { end: false });
  farWire.pipe(valve('near')).pipe(nearWire, { end: false });
  return [near, far];
}
