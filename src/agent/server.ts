/** The agent's socket: hears hello, and hands each connection to the handlers, each channel to who issued its ticket. */
import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { DrayageError } from '../errors.ts';
import { type ChannelHandler, TicketOffice } from './channels.ts';
import { Connection, type Log } from './connection.ts';
import type { HeartbeatOptions } from './heartbeat.ts';
import { hearHello, refuse, welcome } from './hello.ts';
import type { Handlers, Protocol } from './protocol.ts';

export interface ServeOptions<P extends Protocol> {
  /** Its directory is made with mode 0700. */
  socketPath: string;
  version: string;
  protocol: P;
  handlers: Handlers<P, Connection<P>>;
  /** What the agents of other hosts may open here, by purpose. */
  channels?: Record<string, ChannelHandler<Connection<P>>>;
  heartbeatOptions?: HeartbeatOptions;
  log: Log;
  /** Ends the service and every connection. */
  signal: AbortSignal;
  onListening?: () => void;
}

const MAX_CONNECTIONS = 256;

/**
 * Serves until `signal` aborts.
 * @throws DrayageError AGENT_RUNNING where another agent answers on the socket
 */
export async function serve<P extends Protocol>(options: ServeOptions<P>): Promise<void> {
  const { socketPath, log, signal } = options;
  const connections = new Set<Connection<P>>();
  const tickets = new TicketOffice();
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  await clearStale(socketPath);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}); // Until it is somebody's: hearHello tells of failures.
    accept(socket, options, tickets, connections).catch((error: unknown) => {
      log(`a connection was refused: ${DrayageError.from(error).message}`);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, socketPath);
  server.on('error', (error) => log(`the socket failed: ${error.message}`));
  options.onListening?.();
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  server.close(); // Removes the socket, too.
  await Promise.all([...connections].map((connection) => connection.close()));
}

async function accept<P extends Protocol>(
  socket: Socket,
  options: ServeOptions<P>,
  tickets: TicketOffice,
  connections: Set<Connection<P>>,
): Promise<void> {
  const { version, protocol, handlers, channels = {}, heartbeatOptions, log, signal } = options;
  const { hello, dialledFrom } = await hearHello(socket, { version, peer: 'A caller', signal });
  if (hello.kind === 'channel') {
    const take = tickets.redeem(hello.ticket);
    if (take === undefined) {
      const error = new DrayageError('AGENT_PROTOCOL', 'That ticket was used, has expired or was never given out.');
      refuse(socket, error);
      throw error;
    }
    welcome(socket, version);
    take(socket);
    return;
  }
  welcome(socket, version);
  const connection = new Connection(socket, {
    protocol,
    handlers,
    peer: hello.from === 'cli' ? 'the command line' : (dialledFrom ?? 'another agent'),
    channels: { handlers: channels, tickets, dialledFrom },
    log,
    ...(heartbeatOptions && { heartbeatOptions }),
  });
  connections.add(connection);
  const error = await connection.closed;
  connections.delete(connection);
  // A command line that is closed while it watches is nothing to tell of.
  if (error !== undefined && hello.from === 'agent') log(error.message);
}

/** Removes the socket of an agent that is no more. */
async function clearStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
  if (answered) throw new DrayageError('AGENT_RUNNING', `An agent answers on ${path}.`);
  if (found.isSocket()) await rm(path, { force: true });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new DrayageError('AGENT_RUNNING', `${path} is taken: ${error.message}.`, { cause: error }));
    });
    server.listen(path, () => {
      server.removeAllListeners('error');
      resolve(chmod(path, 0o600));
    });
  });
}
