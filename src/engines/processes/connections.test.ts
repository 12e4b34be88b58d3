import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { start } from '../../exec/run.ts';
import type { InetSocket } from '../../tools/proc-net.ts';
import { connectionsOf, outsideConnections, settleDatagrams, settleHandshakes, unsettled } from './connections.ts';

function socket(state: InetSocket['state'], more: Partial<InetSocket> = {}): InetSocket {
  const local = { host: '172.30.0.2', port: 80 };
  return { state, local, remote: { host: '10.0.0.9', port: 4711 }, received: 0, repeats: 0, inode: 7, ...more };
}

test.each([
  ['ESTABLISHED', true],
  ['FIN-WAIT-1', true],
  ['FIN-WAIT-2', true],
  ['CLOSE-WAIT', true],
  ['LAST-ACK', true],
  ['CLOSING', true],
  ['SYN-SENT', true],
  ['LISTEN', false],
  ['TIME-WAIT', false],
  ['SYN-RECV', false],
  ['CLOSE', false],
] as const)('a socket in the state %s moves: %s', (state, moves) => {
  expect(outsideConnections([socket(state)])).toHaveLength(moves ? 1 : 0);
});

test('connections within the container are its own', () => {
  const local = { host: '127.0.0.1', port: 6379 };
  expect(outsideConnections([socket('ESTABLISHED', { local })])).toEqual([]);
});

test('what is unsettled', () => {
  const settled = [socket('LISTEN'), socket('ESTABLISHED', { received: 5 })];
  expect(unsettled(settled)).toEqual({ handshakes: [], queues: new Map() });
  // By IPv4 and IPv6.
  const busy = [socket('LISTEN', { received: 2 }), socket('LISTEN', { received: 1 }), socket('SYN-RECV')];
  expect(unsettled(busy)).toEqual({
    handshakes: [{ port: 80, client: '10.0.0.9:4711', repeats: 0 }],
    queues: new Map([[80, 3]]),
  });
});

const HURRY = { answerMs: 10, acceptMs: 10, againMs: 10, limitMs: 10 };

test('this process: its connections within, and nothing that waits', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  await new Promise((resolve) => client.once('connect', resolve));
  expect((await connectionsOf(process.pid)).filter(({ local }) => local.host === '127.0.0.1')).toEqual([]);
  const nobody = 4_194_304 + 1;
  expect(await settleHandshakes(nobody, HURRY)).toEqual({ waiting: [], unanswered: 0 });
  client.destroy();
  server.close();
});

test('settleDatagrams waits until what has come is read', async () => {
  const unread = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800)';
  const script = `const s = require('node:dgram').createSocket('udp4');
    s.once('message', () => process.exit());
    s.bind(0, '127.0.0.1', () => require('node:fs').writeSync(1, s.address().port + '\\n') && ${unread});`;
  const receiver = start(process.execPath, ['-e', script]);
  const sender = createSocket('udp4');
  try {
    const [port] = (await once(receiver.stdout, 'data')) as [Buffer];
    await new Promise<void>((resolve, reject) => {
      sender.send('hello', Number(port), '127.0.0.1', (error) => (error ? reject(error) : resolve()));
    });
    const began = performance.now();
    await settleDatagrams(receiver.pid as number, 10_000);
    expect(performance.now() - began).toBeGreaterThan(300);
    expect(performance.now() - began).toBeLessThan(5000);
  } finally {
    sender.close();
    receiver.kill('SIGKILL');
  }
});
