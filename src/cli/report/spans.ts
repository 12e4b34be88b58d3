/** The spans of a migration as a tree by time: programs inside steps, steps inside phases. */
import type { Span } from '../../migration/events.ts';

export interface SpanNode {
  span: Span;
  children: SpanNode[];
}

const RANK = { phase: 0, step: 1, program: 2 } as const;
/** Clocks of two hosts are compared by the agents to about this precision, in milliseconds. */
const SLACK_MS = 2;

/** Every span exactly once, in order of time on every level. */
export function spanTree(spans: readonly Span[]): SpanNode[] {
  const nodes = [...spans]
    .sort((a, b) => a.startMs - b.startMs || RANK[a.kind] - RANK[b.kind] || b.ms - a.ms)
    .map((span): SpanNode => ({ span, children: [] }));
  const roots: SpanNode[] = [];
  for (const node of nodes) (parentOf(node, nodes)?.children ?? roots).push(node);
  return roots;
}

export function flatten(nodes: readonly SpanNode[], depth = 0): { span: Span; depth: number }[] {
  return nodes.flatMap(({ span, children }) => [{ span, depth }, ...flatten(children, depth + 1)]);
}

/** The innermost span of a higher kind in which this one began: a step of its own side, else a phase of either side. */
function parentOf({ span }: SpanNode, nodes: readonly SpanNode[]): SpanNode | undefined {
  return nodes
    .filter(({ span: other }) => {
      const higher = RANK[other.kind] < RANK[span.kind];
      const sameSide = other.side === span.side || other.kind === 'phase';
      const began = other.startMs <= span.startMs + SLACK_MS && span.startMs <= other.startMs + other.ms;
      return higher && sameSide && began;
    })
    .sort(
      (a, b) => RANK[b.span.kind] - RANK[a.span.kind] || b.span.startMs - a.span.startMs || a.span.ms - b.span.ms,
    )[0];
}
