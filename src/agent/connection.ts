/**
 * One connection between two drayage processes: typed calls in both directions over any duplex that has said hello
 * (hello.ts), and bulk channels beside it (channels.ts). It ends as a whole: calls that wait, handlers that run and
 * channels that are open end with it.
 */
import type { Duplex } from 'node:stream';
import {
  type CancellationToken,
  CancellationTokenSource,
  createMessageConnection,
  type MessageConnection,
  ResponseError,
} from 'vscode-jsonrpc/node';
import { z } from 'zod';
import { DrayageError } from '../errors.ts';
import { limits } from '../exec/limits.ts';
import type { ByteCount } from './channel-stream.ts';
import { CHANNEL_OPEN, type ChannelOptions, Channels, channelOpen } from './channels.ts';
import { HEARTBEAT, Heartbeat, type HeartbeatOptions } from './heartbeat.ts';
import { BoundedReader, BoundedWriter } from './messages.ts';
import {
  check,
  type Handlers,
  type Method,
  type Notification,
  type Params,
  type Protocol,
  type Result,
} from './protocol.ts';
import { fromWire, toWire } from './wire-error.ts';

export type Log = (message: string) => void;

export interface ConnectionOptions<P extends Protocol> {
  protocol: P;
  /** What this side does for the other. */
  handlers?: Handlers<P, Connection<P>>;
  channels?: ChannelOptions<Connection<P>>;
  /** Who is at the other end, for messages: `hostb`, `the command line`. */
  peer: string;
  /** Ping from the start on. The other side answers in kind, whether or not it asked for it. */
  heartbeat?: boolean;
  heartbeatOptions?: HeartbeatOptions;
  /** Told of what nobody else is told of: failures inside handlers, messages that are out of place. */
  log?: Log;
}

export interface CallOptions {
  /** Aborting rejects the call at once and cancels it at the other side. */
  signal?: AbortSignal;
  timeoutMs?: number;
}

const PING = '$/ping';
const BYE = '$/bye';
const pingSchema = z.object({ n: z.number(), seen: z.number() });
const resultSchema = z.object({ value: z.unknown().optional() });
/** How long a message of farewell may take to leave. */
const CLOSE_MS = 1000;

export class Connection<P extends Protocol = Protocol> implements AsyncDisposable {
  readonly peer: string;
  /** Settles when the connection has ended: with undefined where one side closed it, else with AGENT_LOST. Never rejects. */
  readonly closed: Promise<DrayageError | undefined>;
  readonly channels: Channels<Connection<P>>;
  readonly #methods: Protocol['methods'];
  readonly #options: ConnectionOptions<P>;
  readonly #duplex: Duplex;
  readonly #reader: BoundedReader;
  readonly #rpc: MessageConnection;
  readonly #heartbeat: Heartbeat;
  readonly #abort = new AbortController();
  readonly #listeners = new Map<string, Set<(params: unknown) => void>>();
  #resolveClosed: (error: DrayageError | undefined) => void;
  #handled = 0;

  constructor(duplex: Duplex, options: ConnectionOptions<P>) {
    this.#duplex = duplex;
    this.#options = options;
    this.peer = options.peer;
    this.#methods = { ...options.protocol.methods, [CHANNEL_OPEN]: channelOpen };
    const { promise, resolve } = Promise.withResolvers<DrayageError | undefined>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.#heartbeat = new Heartbeat(
      options.heartbeatOptions ?? HEARTBEAT,
      (ping) => void this.#rpc.sendNotification(PING, ping).catch(() => {}),
      (why) => this.#end(this.#lost(why)),
    );
    this.#reader = new BoundedReader(duplex, () => this.#heartbeat.traffic());
    const log = (message: string) => this.#log(message);
    this.#rpc = createMessageConnection(
      this.#reader,
      new BoundedWriter(duplex),
      { error: log, warn: log, info: () => {}, log: () => {} },
      {
        messageStrategy: {
          handleMessage: (message, next) => {
            this.#handled++;
            return next(message);
          },
        },
      },
    );
    this.#rpc.onError(([error]) => this.#endSoon(this.#lost(error.message, error)));
    this.#rpc.onClose(() => this.#endSoon(this.#lost('it closed the connection')));
    this.#rpc.onRequest((method, params, token) => this.#handle(method, params, token));
    this.#rpc.onNotification((method, params) => this.#notified(method, params));
    this.#rpc.listen();
    this.channels = new Channels<Connection<P>>(
      {
        connection: this,
        peer: this.peer,
        signal: this.signal,
        log,
        open: (params, signal) =>
          this.#call(CHANNEL_OPEN, params, { signal }) as Promise<z.output<typeof channelOpen.result>>,
      },
      options.channels ?? {},
    );
    if (options.heartbeat === true) this.#heartbeat.start();
  }

  /** Aborts when the connection ends; its reason is a DrayageError. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Payload of all bulk channels of this connection so far. */
  get channelBytes(): Readonly<ByteCount> {
    return this.channels.bytes;
  }

  /**
   * Calls a method of the other side.
   * @throws DrayageError as the handler threw it; AGENT_LOST where the connection ends first: whether the other side
   * did what was asked is not known then; AGENT_TIMEOUT; AGENT_PROTOCOL where the answer is not what the table says
   */
  call<M extends Method<P>>(method: M, params: Params<P, M>, options: CallOptions = {}): Promise<Result<P, M>> {
    return this.#call(method, params, options) as Promise<Result<P, M>>;
  }

  /** Resolves when the message has left this process: wait for it, lest a slow reader fills the memory. */
  async notify<N extends Notification<P>>(method: N, params: z.input<P['notifications'][N]>): Promise<void> {
    const schema = this.#options.protocol.notifications[method];
    if (schema === undefined) throw new DrayageError('INTERNAL', `There is no notification ${method}.`);
    check(schema, params, `the parameters of ${method}`, 'INTERNAL');
    if (this.signal.aborted) throw this.signal.reason;
    await this.#rpc.sendNotification(method, params).catch((error: Error) => {
      throw this.signal.aborted ? this.signal.reason : this.#lost(error.message, error);
    });
  }

  /** Listens until disposed. What came before is not kept: listen before the call that makes the other side send. */
  onNotification<N extends Notification<P>>(
    method: N,
    listener: (params: z.output<P['notifications'][N]>) => void,
  ): Disposable {
    const listeners = this.#listeners.get(method) ?? new Set();
    this.#listeners.set(method, listeners);
    listeners.add(listener as (params: unknown) => void);
    return { [Symbol.dispose]: () => void listeners.delete(listener as (params: unknown) => void) };
  }

  /** Says farewell and ends the connection; the other side sees a clean end. */
  async close(): Promise<void> {
    if (this.signal.aborted) return;
    const farewell = this.#rpc.sendNotification(BYE).catch(() => {});
    await Promise.race([farewell, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())]);
    this.#end(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call(method: string, params: unknown, options: CallOptions): Promise<unknown> {
    const spec = this.#spec(method);
    check(spec.params, params, `the parameters of ${method}`, 'INTERNAL');
    const cancellation = new CancellationTokenSource();
    const { signal, timeoutMs: ms } = options;
    const late = (): DrayageError =>
      new DrayageError('AGENT_TIMEOUT', `${this.peer} did not answer ${method} within ${ms} ms.`);
    const stop = limits([this.signal, ...(signal ? [signal] : [])], ms === undefined ? undefined : { ms, late });
    try {
      const answer = this.#rpc.sendRequest(method, params, cancellation.token);
      const { value } = resultSchema.parse(await Promise.race([answer, stop.stopped]));
      return check(spec.result, value, `the answer of ${this.peer} to ${method}`, 'AGENT_PROTOCOL');
    } catch (error) {
      // The library reports the end of a connection in several ways of its own.
      if (this.signal.aborted) throw this.signal.reason;
      if (error instanceof DrayageError) {
        cancellation.cancel();
        throw error;
      }
      throw error instanceof ResponseError && error.data !== undefined
        ? fromWire(error.data)
        : new DrayageError('AGENT_PROTOCOL', `${method}: ${(error as Error).message}`, { cause: error });
    } finally {
      stop.dispose();
    }
  }

  async #handle(method: string, rawParams: unknown, token: CancellationToken): Promise<unknown> {
    const controller = new AbortController();
    const cancelled = token.onCancellationRequested(() =>
      controller.abort(new DrayageError('CANCELLED', `${this.peer} cancelled ${method}.`)),
    );
    const onEnd = () => controller.abort(this.signal.reason);
    this.signal.addEventListener('abort', onEnd);
    if (token.isCancellationRequested)
      controller.abort(new DrayageError('CANCELLED', `${this.peer} cancelled ${method}.`));
    try {
      const handler = this.#handler(method);
      const spec = this.#spec(method);
      const params = check(spec.params, rawParams, `the parameters of ${method}`, 'AGENT_PROTOCOL');
      controller.signal.throwIfAborted(); // Cancelled while it waited its turn: nothing has been begun.
      const value = await handler(params, controller.signal);
      check(spec.result, value, `the result of ${method}`, 'INTERNAL');
      return value === undefined ? {} : { value };
    } catch (thrown) {
      const error = DrayageError.from(thrown);
      if (error.code === 'INTERNAL') this.#log(`${method} failed: ${thrown instanceof Error ? thrown.stack : thrown}`);
      return new ResponseError(-32000, error.message, toWire(error));
    } finally {
      cancelled.dispose();
      this.signal.removeEventListener('abort', onEnd);
    }
  }

  #notified(method: string, rawParams: unknown): void {
    if (method === BYE) {
      this.#end(undefined);
      return;
    }
    if (method === PING) {
      this.#heartbeat.start();
      const ping = pingSchema.safeParse(rawParams);
      if (ping.success) this.#heartbeat.received(ping.data);
      return;
    }
    const schema = Object.hasOwn(this.#options.protocol.notifications, method)
      ? this.#options.protocol.notifications[method]
      : undefined;
    const params = schema?.safeParse(rawParams);
    if (params?.success === true) for (const listener of this.#listeners.get(method) ?? []) listener(params.data);
    else this.#log(`${this.peer} sent a notification ${method} that is out of place`);
  }

  #spec(method: string): Protocol['methods'][string] {
    const spec = Object.hasOwn(this.#methods, method) ? this.#methods[method] : undefined;
    if (spec === undefined) throw new DrayageError('AGENT_PROTOCOL', `There is no method ${method}.`);
    return spec;
  }

  #handler(method: string): (params: unknown, signal: AbortSignal) => unknown {
    if (method === CHANNEL_OPEN)
      return (params, signal) => this.channels.accept(params as z.output<typeof channelOpen.params>, signal);
    const { handlers = {} } = this.#options;
    const handler = Object.hasOwn(handlers, method) ? handlers[method as keyof typeof handlers] : undefined;
    if (handler === undefined) throw new DrayageError('AGENT_PROTOCOL', `There is no method ${method} here.`);
    return (params, signal) => (handler as AnyHandler)(params, { connection: this, signal });
  }

  #lost(why: string, cause?: Error): DrayageError {
    return new DrayageError('AGENT_LOST', `The connection to ${this.peer} was lost: ${why}.`.replace('..', '.'), {
      cause,
    });
  }

  /**
   * Ends once what had arrived is handled: an answer that came just before the end of the stream counts. The library
   * takes one message a turn of the event loop; cancellations pass its queue by, hence the bound.
   */
  #endSoon(error: DrayageError, turns = this.#reader.messages - this.#handled): void {
    if (turns > 0 && this.#reader.messages > this.#handled) setImmediate(() => this.#endSoon(error, turns - 1));
    else this.#end(error);
  }

  #end(error: DrayageError | undefined): void {
    if (this.signal.aborted) return;
    this.#heartbeat.stop();
    this.#abort.abort(error ?? new DrayageError('AGENT_LOST', `The connection to ${this.peer} was closed.`));
    this.#rpc.dispose();
    this.#duplex.end();
    setTimeout(() => this.#duplex.destroy(), error === undefined ? CLOSE_MS : 0).unref();
    this.#duplex.once('end', () => this.#duplex.destroy()).resume();
    this.#resolveClosed(error);
  }

  #log(message: string): void {
    this.#options.log?.(message);
  }
}

/** A handler whose parameters have been checked against the table. */
type AnyHandler = (params: unknown, context: { connection: unknown; signal: AbortSignal }) => unknown;
