/**
 * Tells whether the other side is there and hears us. Each side sends a ping every interval, and says in it which of
 * the other's pings it heard last: so a cut of one direction only is noticed by both sides, not just by the deaf one.
 *
 * Counts its own ticks, not the clock: a process that was stopped or busy for ten seconds gets one tick for them, and
 * then reads what had come meanwhile, before it calls the other side lost.
 */
export interface HeartbeatOptions {
  /** Milliseconds between pings. */
  intervalMs: number;
  /** Intervals without a sign of life, or without being heard, after which the connection counts as lost. */
  misses: number;
}

export const HEARTBEAT: HeartbeatOptions = { intervalMs: 1000, misses: 4 };

export interface Ping {
  /** Number of this ping. */
  n: number;
  /** The highest number heard from the other side. */
  seen: number;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #send: (ping: Ping) => void;
  readonly #lost: (why: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #seen = 0;
  #heardOfUs = 0;
  #silentTicks = 0;
  #unheardTicks = 0;

  constructor(options: HeartbeatOptions, send: (ping: Ping) => void, lost: (why: string) => void) {
    this.#options = options;
    this.#send = send;
    this.#lost = lost;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tick(), this.#options.intervalMs);
    this.#ping();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Anything at all has arrived. */
  traffic(): void {
    this.#silentTicks = 0;
  }

  received(ping: Ping): void {
    this.#seen = Math.max(this.#seen, ping.n);
    if (ping.seen <= this.#heardOfUs) return;
    this.#heardOfUs = ping.seen;
    this.#unheardTicks = 0;
  }

  #tick(): void {
    this.#silentTicks++;
    this.#unheardTicks++;
    const seconds = (this.#options.intervalMs * this.#options.misses) / 1000;
    if (this.#silentTicks >= this.#options.misses) this.#lost(`nothing came from it for ${seconds} s`);
    else if (this.#unheardTicks >= this.#options.misses) this.#lost(`it heard nothing from here for ${seconds} s`);
    else this.#ping();
  }

  #ping(): void {
    this.#send({ n: ++this.#sent, seen: this.#seen });
  }
}
