/** Writes what setup does to the user: as JSON lines, or as lines of which the last may be alive. */
import type { SetupEvent } from '../fleet/setup.ts';
import { type Output, writeJson } from './context.ts';
import { renderFindings } from './report/finding.ts';
import { type Look, pad, wrap } from './report/style.ts';
import { formatBytes } from './report/units.ts';

export interface SetupReport {
  event(event: SetupEvent): void;
  /** Says what it came to, or nothing in JSON. */
  end(done: string): void;
}

export function setupReport(out: Output, json: boolean): SetupReport {
  if (json) return { event: (event) => writeJson(out, event), end: () => writeJson(out, { type: 'done' }) };
  let changed = false;
  let shownAt = 0;
  const clear = () => {
    if (shownAt > 0) out.write('\r\x1b[2K');
    shownAt = 0;
  };
  return {
    event(event) {
      if (event.type === 'step') changed ||= event.changed;
      if (event.type !== 'transfer') {
        clear();
        out.write(renderSetupEvent(event, out.look()));
      } else if (out.isTty && performance.now() - shownAt > 100) {
        clear();
        out.write(renderSetupEvent(event, out.look()));
        shownAt = performance.now();
      }
    },
    end(done) {
      clear();
      out.write(changed ? `${done}\n` : 'Nothing was to be done: all is as it should be.\n');
    },
  };
}

/** Whole lines, but for a transfer, whose line is still changing. */
function renderSetupEvent(event: SetupEvent, look: Look): string {
  const { style, width } = look;
  switch (event.type) {
    case 'findings':
      return renderFindings(event.findings, look);
    case 'transfer':
      return `${style.cyan('…')} ${pad('sending', 8)} ${event.file}: ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`;
    case 'step': {
      const mark = event.changed ? style.green('✔') : style.dim('=');
      return `${mark} ${pad(event.step, 8)} ${event.detail}${event.changed ? '' : style.dim(' (as before)')}\n`;
    }
    case 'note':
      return `${style.cyan('note')}\n${wrap(event.message, width, '  ')}\n`;
    default:
      return event satisfies never;
  }
}
