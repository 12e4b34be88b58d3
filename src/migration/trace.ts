/** Where the time of a migration goes: every phase, step and outside program as a span, from one monotonic clock. */
import type { ProgramRecorder } from '../exec/run.ts';
import type { Phase, Span } from './events.ts';

export class Trace {
  readonly spans: Span[] = [];
  readonly #side: Span['side'];
  readonly #start: number;
  readonly #onSpan: (span: Span) => void;

  /** @param start performance.now() of the migration's start; spans count from it. */
  constructor(side: Span['side'], onSpan: (span: Span) => void = () => {}, start: number = performance.now()) {
    this.#side = side;
    this.#onSpan = onSpan;
    this.#start = start;
  }

  /** Milliseconds since the start. */
  now(): number {
    return performance.now() - this.#start;
  }

  phase<T>(name: Phase, work: () => Promise<T>): Promise<T> {
    return this.#measure(name, 'phase', work);
  }

  step<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#measure(name, 'step', work);
  }

  /** For `runner({ record })`. */
  readonly program: ProgramRecorder = (program, startedAt, ms) => {
    this.#add({ name: program, side: this.#side, kind: 'program', startMs: startedAt - this.#start, ms });
  };

  /** Takes over the spans that the other side measured; `offsetMs` is when its clock began, on this one. */
  adopt(spans: readonly Span[], offsetMs: number): void {
    for (const span of spans) this.#add({ ...span, startMs: span.startMs + offsetMs });
  }

  /** Milliseconds of the phase, all its spans together; overlapping phases each count in full. */
  phaseMs(phase: Phase): number {
    return this.spans.filter((s) => s.kind === 'phase' && s.name === phase).reduce((sum, s) => sum + s.ms, 0);
  }

  async #measure<T>(name: string, kind: Span['kind'], work: () => Promise<T>): Promise<T> {
    const startMs = this.now();
    try {
      return await work();
    } finally {
      this.#add({ name, side: this.#side, kind, startMs, ms: this.now() - startMs });
    }
  }

  #add(span: Span): void {
    const rounded = { ...span, startMs: round(span.startMs), ms: round(span.ms) };
    this.spans.push(rounded);
    this.#onSpan(rounded);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
