/** Ways to an agent: its socket on this host, or ssh to another host and `drayage dial` there. */
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { DrayageError } from '../errors.ts';
import { start } from '../exec/run.ts';
import { parseDestination, type SshOptions, sshArguments, sshStopSharing } from '../tools/ssh.ts';
import type { ChannelHandler } from './channels.ts';
import { Connection, type Log } from './connection.ts';
import type { HeartbeatOptions } from './heartbeat.ts';
import { type HelloOptions, sayHello } from './hello.ts';
import type { Handlers, Protocol } from './protocol.ts';
import { SshStream } from './ssh-stream.ts';

export interface ClientOptions<P extends Protocol> {
  protocol: P;
  /** This program's version. */
  version: string;
  /** Who dials: an agent insists on the same version at the other end. Default `cli` locally, `agent` over ssh. */
  from?: 'cli' | 'agent';
  handlers?: Handlers<P, Connection<P>>;
  channels?: Record<string, ChannelHandler<Connection<P>>>;
  heartbeat?: boolean;
  heartbeatOptions?: HeartbeatOptions;
  log?: Log;
  /** Where this host may be reached for bulk data; default the addresses of its interfaces. */
  addresses?: () => string[];
  /** Ends the attempt, not the connection. */
  signal?: AbortSignal;
}

export interface SshClientOptions<P extends Protocol> extends ClientOptions<P> {
  /** See SshOptions; made where it is missing. */
  controlDir: string;
  /** What runs at the other end. */
  command?: readonly string[];
  /** Starts ssh. */
  start?: typeof start;
}

/** ConnectTimeout bounds the TCP connection only: key exchange, login and starting node come on top. */
const SSH_HELLO_MS = 20_000;

/**
 * Connects to the agent of this host.
 * @throws DrayageError AGENT_ABSENT, AGENT_DENIED, or as of sayHello
 */
export async function connectLocal<P extends Protocol>(
  socketPath: string,
  options: ClientOptions<P>,
): Promise<Connection<P>> {
  const { version, from = 'cli', signal } = options;
  const hello: HelloOptions = { version, peer: "this host's agent", ...(signal && { signal }) };
  const dial = async (greeting: Parameters<typeof sayHello>[1]): Promise<Duplex> => {
    const socket = await openSocket(socketPath);
    await sayHello(socket, greeting, hello);
    return socket;
  };
  return connection(await dial({ kind: 'rpc', from }), hello.peer, options, {
    redial: (ticket) => dial({ kind: 'channel', ticket }),
  });
}

/**
 * Connects to the agent of another host, by `ssh DESTINATION drayage dial`.
 * @throws DrayageError USAGE, HOST_UNREACHABLE, HOST_KEY_CHANGED, HOST_KEY_UNKNOWN, HOST_AUTH, AGENT_MISSING,
 * HOST_NO_AGENT, AGENT_DENIED, or as of sayHello
 */
export async function connectSsh<P extends Protocol>(
  destination: string,
  options: SshClientOptions<P>,
): Promise<Connection<P>> {
  const parsed = parseDestination(destination);
  const { version, from = 'agent', controlDir, command = ['drayage', 'dial'], start: startProgram = start } = options;
  await mkdir(controlDir, { recursive: true, mode: 0o700 });
  const dial = async (
    greeting: Parameters<typeof sayHello>[1],
    ssh: SshOptions,
    signal: AbortSignal | undefined,
  ): Promise<Duplex> => {
    const stream = new SshStream(startProgram('ssh', sshArguments(parsed, command, ssh)), parsed);
    stream.on('error', () => {});
    try {
      await sayHello(stream, greeting, {
        version,
        peer: destination,
        timeoutMs: SSH_HELLO_MS,
        ...(signal && { signal }),
      });
      return stream;
    } catch (error) {
      throw explained(DrayageError.from(error), destination);
    }
  };
  const calls: SshOptions = { controlDir, purpose: 'calls' };
  const result = connection(await dial({ kind: 'rpc', from }, calls, options.signal), destination, options, {
    redial: (ticket, signal) => dial({ kind: 'channel', ticket }, { controlDir, purpose: 'bulk' }, signal),
  });
  void result.closed.then((error) => {
    // The session that is shared may hang for as long as TCP hopes: the next attempt must make its own.
    if (error !== undefined) startProgram('ssh', sshStopSharing(parsed, calls), { timeoutMs: 5000 });
  });
  return result;
}

function connection<P extends Protocol>(
  stream: Duplex,
  peer: string,
  { protocol, handlers, channels, heartbeat, heartbeatOptions, log, addresses }: ClientOptions<P>,
  ways: { redial: (ticket: string, signal: AbortSignal) => Promise<Duplex> },
): Connection<P> {
  return new Connection(stream, {
    protocol,
    peer,
    channels: { ...ways, ...(addresses && { addresses }), ...(channels && { handlers: channels }) },
    ...(handlers && { handlers }),
    ...(heartbeat && { heartbeat }),
    ...(heartbeatOptions && { heartbeatOptions }),
    ...(log && { log }),
  });
}

function openSocket(path: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => reject(socketError(path, error)));
  });
}

function socketError(path: string, error: NodeJS.ErrnoException): DrayageError {
  const detail = { cause: error };
  if (error.code === 'EACCES') return new DrayageError('AGENT_DENIED', `You may not open ${path}.`, detail);
  return new DrayageError('AGENT_ABSENT', `No agent answers on ${path}.`, detail);
}

/** What went wrong on another host is said of that host. */
function explained(error: DrayageError, destination: string): DrayageError {
  const detail = { cause: error, remedy: `Start it again: drayage host add ${destination}.` };
  switch (error.code) {
    case 'AGENT_ABSENT':
      return new DrayageError('HOST_NO_AGENT', `No drayage agent runs on ${destination}.`, detail);
    case 'AGENT_DENIED':
      return new DrayageError('AGENT_DENIED', `On ${destination}: ${error.message}`, { cause: error });
    case 'AGENT_VERSION':
      return new DrayageError('AGENT_VERSION', error.message, {
        ...detail,
        remedy: `Bring it to this version: drayage host add ${destination}.`,
      });
    default:
      return error;
  }
}
