/** What the command line needs of an agent: its methods and the shapes of their answers. */
import type { WorkloadSummary } from '../engines/facts.ts';
import type { MigrateOptions, MigrationEvent, MigrationResult, Outcome } from '../migration/events.ts';
import type { Finding } from '../migration/finding.ts';
import type { Plan } from '../migration/plan.ts';

/** One line of `drayage history`. */
export interface MigrationSummary {
  id: string;
  workload: string;
  source: string;
  target: string;
  /** Unix time in milliseconds. */
  startedAt: number;
  /** Absent while it is under way. */
  outcome?: Outcome;
  outageMs?: number | null;
  totalMs?: number;
  bytes?: number;
}

export interface AgentMethods {
  hello: { params: Record<string, never>; result: { drayage: string; hostname: string } };
  'workloads.list': { params: Record<string, never>; result: { workloads: WorkloadSummary[] } };
  'workloads.check': {
    params: { workload: string; to: string; options: MigrateOptions };
    result: { findings: Finding[]; plan: Plan | null };
  };
  'migrations.start': { params: { workload: string; to: string; options: MigrateOptions }; result: { id: string } };
  /** Answers at the end; what happens in the meantime comes as notifications, from the event numbered `from` on. */
  'migrations.watch': { params: { id: string; from: number }; result: MigrationResult };
  'migrations.undo': { params: { id: string }; result: unknown };
  'migrations.list': { params: Record<string, never>; result: { migrations: MigrationSummary[] } };
  'migrations.show': { params: { id: string }; result: { events: MigrationEvent[] } };
  'migrations.resolve': { params: { id: string; keep: 'source' | 'target' }; result: MigrationResult };
}

export interface AgentClient extends AsyncDisposable {
  /**
   * @throws DrayageError as the agent raised it, or AGENT_LOST where the connection ended first.
   */
  call<M extends keyof AgentMethods>(
    method: M,
    params: AgentMethods[M]['params'],
    signal?: AbortSignal,
  ): Promise<AgentMethods[M]['result']>;
  /** Called for every event of a migration that is being watched over this connection. */
  onEvent(listener: (event: MigrationEvent) => void): void;
}
