/** Pure: whether a workload moves live or by restart, and what speaks for it. */
import { isTree } from '../engines/facts.ts';
import type { MigrateOptions } from './events.ts';
import type { ContainerFacts, Facts } from './facts.ts';
import type { Finding } from './finding.ts';
import { makePlan, type Plan } from './plan.ts';
import { makeRestartPlan } from './plan-restart.ts';
import { preflight, preflightRestart } from './preflight.ts';

export interface Proposal {
  findings: Finding[];
  plan: Plan;
}

export interface Decision extends Proposal {
  strategy: 'live' | 'restart';
  /** What it would be by restart, where it cannot move live and nobody has agreed to a restart yet. */
  restart?: Proposal;
}

/** With `auto`: live where nothing blocks that; else by restart where that is allowed and nothing blocks it. */
export function decide(facts: Facts, options: MigrateOptions): Decision {
  const { workload } = facts;
  // Nothing knows how to start a tree of processes anew.
  if (isTree(workload)) return { strategy: 'live', ...proposeLive(facts, options) };
  const container = { ...facts, workload };
  if (options.strategy === 'restart') return { strategy: 'restart', ...proposeRestart(container, options) };
  const live = proposeLive(facts, options);
  if (options.strategy === 'live' || !isBlocked(live)) return { strategy: 'live', ...live };
  const restart = proposeRestart(container, options);
  if (isBlocked(restart)) return { strategy: 'live', ...live };
  if (!options.allowRestart) return { strategy: 'live', ...live, restart };
  return { strategy: 'restart', ...restart, findings: [...restart.findings, ...reasons(live, restart)] };
}

function proposeLive(facts: Facts, options: MigrateOptions): Proposal {
  return { findings: preflight(facts, options), plan: makePlan(facts, options) };
}

function proposeRestart(facts: ContainerFacts, options: MigrateOptions): Proposal {
  return { findings: preflightRestart(facts, options), plan: makeRestartPlan(facts, options) };
}

function isBlocked({ findings }: Proposal): boolean {
  return findings.some(({ severity }) => severity === 'blocks');
}

/** Why it does not move live, as what it now is: a note. */
function reasons(live: Proposal, restart: Proposal): Finding[] {
  const others = live.findings.filter(({ severity }) => severity === 'blocks');
  return others
    .filter(({ code }) => restart.findings.every((finding) => finding.code !== code))
    .map((finding) => ({ ...finding, severity: 'note', remedy: 'Nothing is to be done: it moves by restart.' }));
}
