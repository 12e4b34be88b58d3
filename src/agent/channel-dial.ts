/**
 * The other end of a direct bulk channel (channel-listener.ts): dials back to the opener. This side receives the memory
 * images, and only tls.connect has `onread`, a receive buffer that is used over and over.
 */
import { once } from 'node:events';
import { connect as connectTcp, type TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { DrayageError } from '../errors.ts';
import { CHANNEL_TLS, type Ticket } from './channel-listener.ts';
import { type ChannelOptions, ChannelStream } from './channel-stream.ts';

/** How long all addresses together may be tried. */
const DIAL_MS = 1500;
const STAGGER_MS = 100;
const READ_BUFFER_BYTES = 256 << 10;

export interface DialBackOptions extends ChannelOptions {
  /** Tried in this order, a little apart; the first that lets us in is taken. */
  addresses: readonly string[];
  port: number;
  ticket: Ticket;
  signal: AbortSignal;
}

/** Dials the listener of a peer. @throws DrayageError CHANNEL_FAILED, with what each address said */
export async function dialBack(options: DialBackOptions): Promise<{ stream: ChannelStream; address: string }> {
  const { addresses, port, peer } = options;
  const failures: string[] = [];
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(DIAL_MS)]);
  // One handshake at a time: the ticket is good for one. tls.connect has no `onread` for a socket that it did not
  // connect itself, so the probe's is not used on.
  for await (const { address, error } of addresses.length > 1 ? probe(addresses, port, signal) : single(addresses)) {
    try {
      if (error !== undefined) throw error;
      return { stream: await handshake(address, options, signal), address };
    } catch (thrown) {
      failures.push(`${address}: ${(thrown as Error).message}`);
    }
  }
  throw new DrayageError('CHANNEL_FAILED', `${peer} cannot be dialled (${failures.join('; ') || 'no address'}).`);
}

interface Probed {
  address: string;
  error?: Error;
}

function* single(addresses: readonly string[]): Generator<Probed> {
  for (const address of addresses) yield { address };
}

/** Which addresses answer, in the order in which they do; each is begun a little later than the one before it. */
async function* probe(addresses: readonly string[], port: number, signal: AbortSignal): AsyncGenerator<Probed> {
  const attempts = new Map(
    [...new Set(addresses)].map((address, turn) => [address, connectOnce(address, port, turn * STAGGER_MS, signal)]),
  );
  while (attempts.size > 0) {
    const probed = await Promise.race(attempts.values());
    attempts.delete(probed.address);
    yield probed;
  }
}

async function connectOnce(address: string, port: number, delayMs: number, signal: AbortSignal): Promise<Probed> {
  try {
    if (delayMs > 0) await sleep(delayMs, undefined, { signal });
    const socket = connectTcp({ host: address, port, signal } as TcpNetConnectOpts);
    await once(socket, 'connect', { signal });
    socket.on('error', () => {}).destroy();
    return { address };
  } catch (error) {
    return { address, error: signal.aborted ? new Error('no answer') : (error as Error) };
  }
}

async function handshake(host: string, options: DialBackOptions, signal: AbortSignal): Promise<ChannelStream> {
  let stream: ChannelStream | undefined;
  const { id, key } = options.ticket;
  const socket = tls.connect({
    ...CHANNEL_TLS,
    host,
    port: options.port,
    allowHalfOpen: true,
    pskCallback: () => ({ psk: key, identity: id }),
    checkServerIdentity: () => undefined, // There is no certificate: knowing the key is the proof.
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (bytes: number, buffer: Buffer) => stream?.feed(buffer.subarray(0, bytes), true) ?? true,
    },
  } as tls.ConnectionOptions);
  socket.setNoDelay(true);
  const stop = () => socket.destroy(new Error('no answer'));
  signal.addEventListener('abort', stop);
  try {
    // Before the handshake ends: the peer's first bytes may come with its last message.
    stream = new ChannelStream(socket, options, { fed: true });
    stream.on('error', () => {});
    await once(socket, 'secureConnect');
    return stream;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
