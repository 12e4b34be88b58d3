/** Writes a migration to the user while it goes on: as JSON lines, as lines, or as lines of which the last is alive. */
import type { MigrationEvent } from '../migration/events.ts';
import { type Output, writeJson } from './context.ts';
import { advance, current, type Live, NOTHING_YET } from './report/live.ts';

export interface Progress {
  event(event: MigrationEvent): void;
  /** A line about the program itself. */
  say(text: string): void;
  /** Takes the living line away. */
  stop(): void;
}

const FRAME_MS = 100;
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const CLEAR_LINE = '\r\x1b[2K';

export function jsonProgress(out: Output, err: Output): Progress {
  return {
    event: (event) => writeJson(out, withoutStamp(event)),
    say: (text) => err.write(`${text}\n`),
    stop: () => {},
  };
}

export function textProgress(out: Output): Progress {
  let live: Live = NOTHING_YET;
  let frame = 0;
  let shown = false;
  const clear = () => {
    if (shown) out.write(CLEAR_LINE);
    shown = false;
  };
  const draw = () => {
    const text = out.isTty ? current(live, Date.now(), SPINNER[frame++ % SPINNER.length] ?? '', out.look()) : null;
    clear();
    if (text === null) return;
    out.write(text);
    shown = true;
  };
  const timer = out.isTty ? setInterval(draw, FRAME_MS) : undefined;
  return {
    event(event) {
      const next = advance(live, event, out.look());
      live = next.live;
      if (next.lines.length === 0) return;
      clear();
      for (const line of next.lines) out.write(`${line}\n`);
      draw();
    },
    say(text) {
      clear();
      out.write(`${text}\n`);
      draw();
    },
    stop() {
      clearInterval(timer);
      clear();
    },
  };
}

/** The last line is a result exactly as `MigrationResult` says, without the time that every other event has. */
function withoutStamp(event: MigrationEvent): object {
  if (event.type !== 'result') return event;
  const { time: _, ...result } = event;
  return result;
}
