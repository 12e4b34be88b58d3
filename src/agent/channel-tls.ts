/**
 * The direct way of a bulk channel: the opener listens, the other side dials back. TLS 1.3, keyed by the one-time
 * ticket alone (external PSK with an ephemeral key exchange: forward secrecy, no certificates, and whoever does not
 * hold the ticket cannot finish a handshake).
 *
 * Node documents PSK for TLS 1.2 only; node 24 with OpenSSL 3.5 does it in 1.3 too, with the suites whose hash is
 * SHA-256, which is what an external PSK without further ado is bound to (tried: X25519MLKEM768, TLS_AES_128_GCM_SHA256).
 * The listener side receives little, the dialler much: only tls.connect has `onread`, a receive buffer that is reused.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket, type TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls, { type TLSSocket } from 'node:tls';
import { DrayageError } from '../errors.ts';
import { type ChannelOptions, ChannelStream } from './channel-stream.ts';

const TLS = {
  ciphers: 'TLS_AES_128_GCM_SHA256',
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
} as const;
const HANDSHAKE_MS = 5000;
const MAX_PENDING = 64;
/** How long the other side may try its addresses, all together. */
const DIAL_MS = 1500;
const STAGGER_MS = 100;
const READ_BUFFER_BYTES = 256 << 10;

export interface Ticket {
  /** Not secret: seen on the wire. */
  id: string;
  /** Secret, 32 random bytes. */
  key: Buffer;
}

interface Expected {
  key: Buffer;
  resolve(socket: TLSSocket): void;
  reject(error: DrayageError): void;
  timer: NodeJS.Timeout;
}

/** Listens on one port of all addresses for the holders of tickets. Strangers are dropped and cannot crowd it. */
export class ChannelListener {
  readonly #server: tls.Server;
  readonly #expected = new Map<string, Expected>();
  /** Which ticket a connection in its handshake has named. */
  readonly #named = new WeakMap<TLSSocket, string>();
  /** Connections that have not finished their handshake, oldest first. */
  readonly #pending = new Map<string, Socket>();
  readonly port: Promise<number>;

  constructor() {
    this.#server = tls.createServer({
      ...TLS,
      allowHalfOpen: true,
      noDelay: true,
      handshakeTimeout: HANDSHAKE_MS,
      pskCallback: (socket, identity) => {
        const expected = this.#expected.get(identity);
        if (expected === undefined) return null;
        this.#named.set(socket, identity);
        return expected.key;
      },
    });
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
    this.#server.on('secureConnection', (socket) => this.#admitted(socket));
    this.#server.on('tlsClientError', (_, socket) => socket.destroy());
    this.#server.listen(0);
    this.port = once(this.#server, 'listening').then(() => {
      this.#server.unref();
      this.#server.on('error', () => {}); // Accepting failed once, e.g. for want of descriptors: the ticket expires.
      return (this.#server.address() as { port: number }).port;
    });
    this.port.catch(() => {});
  }

  /**
   * The connection of whoever holds the ticket; good for one.
   * @throws DrayageError CHANNEL_FAILED where nobody came within `ms`
   */
  expect({ id, key }: Ticket, ms: number): Promise<TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    promise.catch(() => {});
    const expire = () => {
      this.withdraw(id);
      reject(new DrayageError('CHANNEL_FAILED', `Nobody came with the ticket within ${ms / 1000} s.`));
    };
    this.#expected.set(id, { key, resolve, reject, timer: setTimeout(expire, ms).unref() });
    return promise;
  }

  withdraw(id: string): void {
    clearTimeout(this.#expected.get(id)?.timer);
    this.#expected.delete(id);
  }

  close(): void {
    for (const id of [...this.#expected.keys()]) this.withdraw(id);
    for (const socket of this.#pending.values()) socket.destroy();
    this.#server.close();
  }

  #connected(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#expected.size === 0) {
      socket.destroy();
      return;
    }
    const key = remote(socket);
    this.#pending.set(key, socket);
    socket.once('close', () => this.#pending.get(key) === socket && this.#pending.delete(key));
    // The oldest goes, not the newest: whoever holds a ticket needs milliseconds, whoever crowds the port stays.
    for (const [oldest, crowding] of this.#pending) {
      if (this.#pending.size <= MAX_PENDING) break;
      this.#pending.delete(oldest);
      crowding.destroy();
    }
  }

  #admitted(socket: TLSSocket): void {
    this.#pending.delete(remote(socket));
    // A connection that named no ticket here resumed an older session, or its ticket was used meanwhile by another.
    const id = this.#named.get(socket);
    const expected = id === undefined ? undefined : this.#expected.get(id);
    if (id === undefined || expected === undefined) {
      socket.destroy();
      return;
    }
    this.withdraw(id);
    expected.resolve(socket);
  }
}

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
    ...TLS,
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

function remote(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
