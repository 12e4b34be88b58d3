/**
 * Ports of this host that lead to another one: for programs that were reached by this host's own addresses, which cannot
 * follow them. Connections end here and are made anew to there, so the program sees this host as their other end.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

export interface RelayOptions {
  /** As they were listened on, `tcp/0.0.0.0:80`. */
  endpoints: readonly string[];
  /** Of the other host. */
  address: string;
  /** Told of all bytes that go through, both ways. */
  onBytes: (bytes: number) => void;
}

interface Endpoint {
  host: string;
  port: number;
}

export class Relay implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();

  private constructor() {}

  /** @throws NodeJS.ErrnoException where one of its ports is taken; none is listened on then. */
  static async open({ endpoints, address, onBytes }: RelayOptions): Promise<Relay> {
    const relay = new Relay();
    const parsed = endpoints.map(parseEndpoint);
    try {
      for (const endpoint of parsed) {
        const hasOther = parsed.some(({ host, port }) => host === '0.0.0.0' && port === endpoint.port);
        await relay.#listen(endpoint, { address, onBytes, ipv6Only: hasOther });
      }
      return relay;
    } catch (error) {
      await relay[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends the connections that go through, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const socket of this.#open) socket.resetAndDestroy();
    await Promise.all(closed);
  }

  #listen(
    { host, port }: Endpoint,
    { address, onBytes, ipv6Only }: Pick<RelayOptions, 'address' | 'onBytes'> & { ipv6Only: boolean },
  ): Promise<void> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      const there = dial({ host: address, port, allowHalfOpen: true });
      for (const socket of [client, there]) {
        this.#open.add(socket);
        socket.on('close', () => this.#open.delete(socket));
        socket.on('data', (chunk: Buffer) => onBytes(chunk.length));
      }
      Promise.all([pipeline(client, there), pipeline(there, client)]).catch(() => {
        for (const socket of [client, there]) socket.resetAndDestroy();
      });
    });
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, ipv6Only: ipv6Only && host.includes(':') }, () => {
        server.off('error', reject);
        server.on('error', () => {}); // Of single connections; those are told to their clients.
        resolve();
      });
    });
  }
}

/** Pure: those that a relay can stand in for. What listens on the loopback device only is not reached from elsewhere. */
export function relayable(listening: readonly string[]): string[] {
  return listening.filter((endpoint) => /^tcp\/(?!127\.|\[::1\])/.test(endpoint));
}

/** Ports of endpoints, each once. */
export function portsOfEndpoints(endpoints: readonly string[]): number[] {
  return [...new Set(endpoints.map((endpoint) => parseEndpoint(endpoint).port))];
}

function parseEndpoint(endpoint: string): Endpoint {
  const [, host = '', port = ''] = /^tcp\/(.*):(\d+)$/.exec(endpoint) ?? [];
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
