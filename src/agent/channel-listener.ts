/**
 * The opener's end of a direct bulk channel: it listens, the other side dials back (channel-dial.ts). TLS 1.3, keyed by
 * the one-time ticket alone: an external PSK with an ephemeral key exchange, so forward secrecy without certificates,
 * and whoever does not hold the ticket cannot finish a handshake.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { DrayageError } from '../errors.ts';

/**
 * In TLS 1.3 OpenSSL binds a PSK that comes from a callback to SHA-256, which leaves this of the common suites. Tried
 * on node 24.21: the key exchange is X25519MLKEM768, a handshake takes 3 ms.
 */
export const CHANNEL_TLS = {
  ciphers: 'TLS_AES_128_GCM_SHA256',
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
} as const;
const HANDSHAKE_MS = 5000;
const MAX_PENDING = 64;

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
      ...CHANNEL_TLS,
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

  /** Nobody is waited for any more. */
  close(): void {
    for (const [id, { reject }] of this.#expected) {
      this.withdraw(id);
      reject(new DrayageError('CHANNEL_FAILED', 'The connection was closed before its channel was there.'));
    }
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
    // Until whoever waits for it has it: an event that nobody listens to ends the agent.
    socket.on('error', () => {});
    expected.resolve(socket);
  }
}

function remote(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
