import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, it, test } from 'vitest';
import { scratch } from '../files/testing/rig.ts';
import { Relay, relayable } from './relay.ts';
import { Relays } from './relays.ts';

const opened: Server[] = [];
afterEach(() => {
  for (const server of opened.splice(0)) server.close();
});

/** Answers with what it was told, in capitals, once its client has said all. */
async function shouting(host: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    socket.end((await text(socket)).toUpperCase());
  });
  opened.push(server);
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

async function ask(host: string, port: number, words: string): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.end(words);
  return text(socket);
}

test('what can be relayed is TCP that others can reach', () => {
  const reached = ['tcp/0.0.0.0:80', 'tcp/[::]:80', 'tcp/10.0.0.1:81'];
  expect(relayable([...reached, 'udp/0.0.0.0:53', 'tcp/127.0.0.1:80', 'tcp/[::1]:80'])).toEqual(reached);
});

test('a relay carries both ways, half-closed connections too, and frees its ports', async () => {
  const port = await shouting('127.0.0.2');
  const endpoints = [`tcp/127.0.0.1:${port}`];
  let bytes = 0;
  const relay = await Relay.open({ endpoints, address: '127.0.0.2', onBytes: (more) => (bytes += more) });
  expect(await ask('127.0.0.1', port, 'hello')).toBe('HELLO');
  expect(bytes).toBe(10);
  const taken = Relay.open({ endpoints, address: '127.0.0.2', onBytes: () => {} });
  await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await relay[Symbol.asyncDispose]();
  await expect(ask('127.0.0.1', port, 'hello')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

it('relays outlive their agent, make way for what comes home, and come back where it did not', async () => {
  using directory = scratch();
  const port = await shouting('127.0.0.2');
  const workload = 'process:4711';
  const stored = {
    ...{ version: 1 as const, id: '20261121-120000-abcd', workload, peer: 'b', address: '127.0.0.2', since: 1 },
    endpoints: [`tcp/127.0.0.1:${port}`],
  };
  const first = new Relays(directory.path);
  await first.put(stored);
  expect(await ask('127.0.0.1', port, 'a')).toBe('A');
  const coming = { workload, listening: stored.endpoints };
  await first.pause(coming);
  await expect(ask('127.0.0.1', port, 'b')).rejects.toThrow();

  // Another agent: nothing is paused there.
  const second = new Relays(directory.path);
  const ending = new AbortController();
  const kept = second.keep(ending.signal);
  await expect.poll(() => ask('127.0.0.1', port, 'c').catch(() => '')).toBe('C');
  expect(second.endpointsOf(coming)).toEqual(stored.endpoints);
  await second.pause(coming);
  second.resume(coming);
  await expect.poll(() => ask('127.0.0.1', port, 'd').catch(() => '')).toBe('D');
  // Another one, which has its pid.
  const other = { workload, listening: ['tcp/127.0.0.1:1', 'udp/0.0.0.0:53'] };
  await second.pause(other);
  await second.forget(other);
  await second.put({ ...stored, id: '20261121-120000-abce', endpoints: ['tcp/127.0.0.3:1'] });
  expect(await ask('127.0.0.1', port, 'e')).toBe('E');
  expect(second.endpointsOf(other)).toEqual([]);
  await second.remove('20261121-120000-abce');
  await second.forget(coming);
  await expect(ask('127.0.0.1', port, 'f')).rejects.toThrow();
  expect(second.list()).toEqual([]);
  ending.abort();
  await kept;
});
