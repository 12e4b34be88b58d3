/** A migration as far as it has come, from its events; and the parts of it that several reports show. */
import type { MigrationEvent, MigrationResult, Span } from '../../migration/events.ts';
import type { Finding } from '../../migration/finding.ts';
import type { Bar, Outage } from './timeline.ts';

export interface Story {
  id: string;
  started?: Extract<MigrationEvent, { type: 'started' }>;
  findings: Finding[];
  spans: Span[];
  notes: string[];
  result?: MigrationResult;
  /** When each phase began, in Unix milliseconds; for a migration that is still under way. */
  phases: { name: string; time: number }[];
  lastTime: number;
}

export function storyOf(id: string, events: readonly MigrationEvent[]): Story {
  const story: Story = { id, findings: [], spans: [], notes: [], phases: [], lastTime: 0 };
  for (const event of events) {
    story.lastTime = event.time;
    switch (event.type) {
      case 'started':
        story.started = event;
        break;
      case 'findings':
        story.findings = event.findings;
        break;
      case 'phase':
        story.phases.push({ name: event.phase, time: event.time });
        break;
      case 'span':
        story.spans.push(event.span);
        break;
      case 'note':
        story.notes.push(event.message);
        break;
      case 'result':
        story.result = event;
        break;
      case 'proof':
        if (!event.from)
          story.notes.push(`${event.score} % of ${event.paths} paths are alike, ${event.differing} differ`);
        break;
      case 'progress':
      case 'waiting':
        break;
      default:
        event satisfies never;
    }
  }
  return story;
}

/** One bar a phase: from its span, or, where it has none (yet), from the time at which it and the next one began. */
export function phaseBars(story: Story): Bar[] {
  const spans = story.spans.filter((span) => span.kind === 'phase');
  if (spans.length > 0) return spans.map(({ name, startMs, ms }) => ({ label: name, startMs, ms }));
  const origin = story.started?.time ?? story.phases[0]?.time ?? 0;
  return story.phases.map(({ name, time }, i) => {
    const end = story.phases[i + 1]?.time ?? story.lastTime;
    return { label: name, startMs: time - origin, ms: end - time };
  });
}

/** The phases with which a workload stops running. */
export const STILL: readonly string[] = ['freeze', 'stop'];

/** Counted back from the end of the commit, which is when the workload ran again; null where it never froze. */
export function outageOf(story: Story): Outage | null {
  const ms = story.result?.outageMs ?? null;
  const bars = phaseBars(story);
  const [freeze, commit] = [STILL, ['commit']].map((names) => bars.find((bar) => names.includes(bar.label)));
  if (ms === null || freeze === undefined) return null;
  return { startMs: commit === undefined ? freeze.startMs : Math.max(0, commit.startMs + commit.ms - ms), ms };
}

/** From the start to the end of all that was measured. */
export function rangeOf(story: Story): Outage {
  const ends = [...phaseBars(story), ...story.spans].map((bar) => bar.startMs + bar.ms);
  return { startMs: 0, ms: Math.max(story.result?.totalMs ?? 0, ...ends) };
}
