/**
 * Bulk channels beside a connection of calls. The opener asks by `channel.open`, handing over a one-time ticket; the
 * other side dials back to the opener's listener (TLS). Where it cannot be reached, the opener dials
 * once more the way it dialled for calls (ssh) and shows the ticket in its hello. Which way works is remembered.
 */
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { dialBack } from './channel-dial.ts';
import { ChannelListener } from './channel-listener.ts';
import { type ByteCount, ChannelStream } from './channel-stream.ts';

const TICKET_MS = 10_000;
/** Setting up ssh may take longer than a handshake; nobody can try such a ticket without having been let in by ssh. */
const SSH_TICKET_MS = 30_000;
const MAX_ADDRESSES = 8;

export const CHANNEL_OPEN = 'channel.open';
export const channelOpen = {
  params: z.object({
    purpose: z.string().max(64),
    meta: z.unknown().optional(),
    id: z.string().regex(/^[0-9a-f]{32}$/),
    /** 32 bytes in base64url. */
    ticket: z.string().length(43),
    /** 0 where there is no point in dialling back. */
    port: z.number().int().min(0).max(65535),
    addresses: z.array(z.string().max(128)).max(MAX_ADDRESSES),
    /** The one address that worked before; then no other is tried. */
    known: z.string().max(128).optional(),
  }),
  /** `dialled`: the channel is there. `ticket`: it is waited for, with the reason why it could not be dialled. */
  result: z.union([
    z.object({ way: z.literal('dialled'), address: z.string() }),
    z.object({ way: z.literal('ticket'), why: z.string() }),
  ]),
};
type OpenParams = z.output<typeof channelOpen.params>;
type OpenResult = z.output<typeof channelOpen.result>;

/**
 * Serves one channel, by its purpose. When it returns, the channel's own direction is ended; when it throws, the
 * opener's stream fails with that error.
 */
export type ChannelHandler<C> = (
  stream: ChannelStream,
  meta: unknown,
  context: { connection: C; signal: AbortSignal },
) => Promise<void>;

export interface ChannelOptions<C> {
  /** What others may open here. */
  handlers?: Record<string, ChannelHandler<C>>;
  /** Opener: another stream to the same agent, that has said hello with the ticket. */
  redial?: (ticket: string, signal: AbortSignal) => Promise<Duplex>;
  /** Acceptor: where streams that show a ticket come in. */
  tickets?: TicketOffice;
  /** Acceptor: the address that the opener comes from, as the ssh server here saw it. */
  dialledFrom?: string | undefined;
  /** Opener: where it may be reached; default the addresses of this host's interfaces. */
  addresses?: () => string[];
}

/** What a connection of calls gives to its channels. */
interface Calls<C> {
  connection: C;
  peer: string;
  signal: AbortSignal;
  log: (message: string) => void;
  open: (params: OpenParams, signal: AbortSignal) => Promise<OpenResult>;
}

export class Channels<C> {
  /** Payload of all channels so far. */
  readonly bytes: ByteCount = { sent: 0, received: 0 };
  readonly #calls: Calls<C>;
  readonly #options: ChannelOptions<C>;
  #listener: ChannelListener | undefined;
  #known: { way: 'dialled'; address: string } | { way: 'ticket' } | undefined;

  constructor(calls: Calls<C>, options: ChannelOptions<C>) {
    this.#calls = calls;
    this.#options = options;
    calls.signal.addEventListener('abort', () => this.#listener?.close());
  }

  /** See openChannel. */
  async open(
    purpose: string,
    meta: unknown,
    { signal: callers }: { signal?: AbortSignal } = {},
  ): Promise<ChannelStream> {
    const signal = callers === undefined ? this.#calls.signal : AbortSignal.any([callers, this.#calls.signal]);
    throwIfAborted(signal);
    const id = randomBytes(16).toString('hex');
    const key = randomBytes(32);
    const ticket = key.toString('base64url');
    const direct = this.#known?.way !== 'ticket';
    if (direct) this.#listener ??= new ChannelListener();
    const port = direct ? await this.#listener?.port.catch(() => 0) : 0;
    const arrived = this.#listener?.expect({ id, key }, TICKET_MS);
    try {
      const known = this.#known?.way === 'dialled' ? { known: this.#known.address } : {};
      const addresses = (this.#options.addresses ?? ownAddresses)().slice(0, MAX_ADDRESSES);
      const answer = await this.#calls.open(
        { purpose, meta, id, ticket, port: port ?? 0, addresses, ...known },
        signal,
      );
      if (answer.way === 'dialled' && arrived !== undefined) {
        const socket = await arrived;
        this.#known = answer;
        return this.#adopt(new ChannelStream(socket, { peer: this.#calls.peer, count: this.bytes }));
      }
      if (this.#options.redial === undefined) {
        throw new DrayageError('CHANNEL_FAILED', `No bulk channel: ${answer.way === 'ticket' ? answer.why : ''}`);
      }
      if (answer.way === 'ticket' && direct)
        this.#calls.log(`bulk data to ${this.#calls.peer} goes through ssh: ${answer.why}`);
      const raw = await this.#options.redial(ticket, signal);
      this.#known = { way: 'ticket' };
      return this.#adopt(new ChannelStream(raw, { peer: this.#calls.peer, count: this.bytes }));
    } catch (error) {
      // It may have come all the same, or come now.
      arrived?.then(
        (socket) => socket.destroy(),
        () => {},
      );
      throw signal.aborted ? DrayageError.from(signal.reason) : error;
    } finally {
      this.#listener?.withdraw(id);
    }
  }

  /** Handles `channel.open`. */
  async accept(params: OpenParams, signal: AbortSignal): Promise<OpenResult> {
    const { purpose, id, ticket, port, known } = params;
    const handlers = this.#options.handlers ?? {};
    const handler = Object.hasOwn(handlers, purpose) ? handlers[purpose] : undefined;
    if (handler === undefined) throw new DrayageError('AGENT_PROTOCOL', `There is no channel ${purpose} here.`);
    const { dialledFrom, tickets } = this.#options;
    const stream = { peer: this.#calls.peer, count: this.bytes };
    let why = 'it is known not to work directly';
    if (port !== 0) {
      const addresses =
        known !== undefined ? [known] : [...(dialledFrom === undefined ? [] : [dialledFrom]), ...params.addresses];
      try {
        const key = Buffer.from(ticket, 'base64url');
        const dialled = await dialBack({ ...stream, addresses, port, ticket: { id, key }, signal });
        void this.#serve(handler, dialled.stream, params.meta);
        return { way: 'dialled', address: dialled.address };
      } catch (error) {
        throwIfAborted(signal);
        why = (error as Error).message;
      }
    }
    if (tickets === undefined) throw new DrayageError('CHANNEL_FAILED', why);
    tickets.issue(
      ticket,
      SSH_TICKET_MS,
      (raw) => void this.#serve(handler, new ChannelStream(raw, stream), params.meta),
    );
    return { way: 'ticket', why };
  }

  async #serve(handler: ChannelHandler<C>, stream: ChannelStream, meta: unknown): Promise<void> {
    const { connection, signal, log, peer } = this.#calls;
    this.#adopt(stream);
    try {
      await handler(stream, meta, { connection, signal });
      if (!stream.writableEnded) stream.end();
    } catch (thrown) {
      const error = DrayageError.from(thrown);
      if (!stream.destroyed) stream.destroy(error);
      if (!signal.aborted) log(`a channel of ${peer} failed: ${error.message}`);
    }
  }

  /** Ties a channel's life to that of the connection. */
  #adopt(stream: ChannelStream): ChannelStream {
    const { signal } = this.#calls;
    const onEnd = () => stream.destroy(DrayageError.from(signal.reason));
    signal.addEventListener('abort', onEnd);
    stream.once('close', () => signal.removeEventListener('abort', onEnd));
    // Whoever uses the stream sees its errors; one that comes when nobody does must not end the agent.
    stream.on('error', () => {});
    if (signal.aborted) onEnd();
    return stream;
  }
}

/**
 * Opens a bulk channel to the other side of a connection; costs a few milliseconds once a way is known. Its two
 * directions end separately; it is destroyed with the connection.
 * @throws DrayageError CHANNEL_FAILED, AGENT_LOST, CANCELLED
 */
export function openChannel<C>(
  connection: { channels: Channels<C> },
  purpose: string,
  meta: unknown,
  options: { signal?: AbortSignal } = {},
): Promise<ChannelStream> {
  return connection.channels.open(purpose, meta, options);
}

/** Tickets that were given out over connections of calls and have not been shown yet; one office an agent. */
export class TicketOffice {
  readonly #open = new Map<string, { take: (stream: Duplex) => void; timer: NodeJS.Timeout }>();

  issue(ticket: string, ms: number, take: (stream: Duplex) => void): void {
    const timer = setTimeout(() => this.#open.delete(ticket), ms).unref();
    this.#open.set(ticket, { take, timer });
  }

  /** What to do with the stream that shows the ticket; undefined where there is no such ticket, or no longer. */
  redeem(ticket: string): ((stream: Duplex) => void) | undefined {
    const found = this.#open.get(ticket);
    clearTimeout(found?.timer);
    this.#open.delete(ticket);
    return found?.take;
  }
}

/** Addresses of this host that another one may reach, engines' own bridges left out. */
function ownAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !/^(docker\d|br-[0-9a-f]{12}|veth|virbr|cni|podman)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
    .map(({ address }) => address);
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw DrayageError.from(signal.reason);
}
