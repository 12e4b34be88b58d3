/** Pure: what a migration will carry and make, and what it will take, from the facts alone. */
import type { FileTree, HostFacts, WorkloadFacts } from '../engines/facts.ts';
import type { MigrateOptions } from './events.ts';

export interface Plan {
  strategy: 'stop-copy';
  /** Diff ids, bottom first, of the layers that the target lacks; `bytes` is an estimate from the whole image's size. */
  image: { missingLayers: string[]; bytes: number };
  /** Trees of files to carry. */
  trees: FileTree[];
  /** Names of user-defined networks to make on the target. */
  networksToCreate: string[];
  /** Names of volumes to make on the target. */
  volumesToCreate: string[];
  memoryBytes: number;
  predictedOutageMs: number;
  /** Everything that will cross to the target. */
  predictedBytes: number;
}

export function makePlan(
  workload: WorkloadFacts,
  _source: HostFacts,
  _target: HostFacts,
  _options: MigrateOptions,
): Plan {
  return {
    strategy: 'stop-copy',
    image: { missingLayers: [], bytes: 0 },
    trees: workload.files,
    networksToCreate: [],
    volumesToCreate: [],
    memoryBytes: workload.memoryBytes,
    predictedOutageMs: 0,
    predictedBytes: 0,
  };
}
