/** Pure: what stands in the way of a replay on the target, or costs something. */
import type { HostFacts, WorkloadFacts } from '../../engines/facts.ts';
import { DrayageError } from '../../errors.ts';
import type { Finding } from '../../migration/finding.ts';
import type { NetworkInspect } from '../../tools/docker-types.ts';
import { parentOf } from '../../traffic/own-device.ts';

/** @param arch of the source */
export function targetFindings(
  workload: Pick<WorkloadFacts, 'ref' | 'image' | 'state' | 'networks'>,
  target: HostFacts,
  { start, arch }: { start: boolean; arch: string },
): Finding[] {
  const findings: Finding[] = [];
  const { docker } = target;
  if (docker === null) {
    findings.push({
      code: 'REPLAY_NO_DOCKER',
      severity: 'blocks',
      message: `${target.hostname} has no Docker.`,
      meaning: 'The image is built by the Docker of the target.',
      remedy:
        'Install Docker there, or build the Dockerfile elsewhere: drayage replay --log FILE --base IMAGE -o DIRECTORY.',
    });
    return findings;
  }
  if (start && docker.names.includes(workload.ref.name)) {
    findings.push({
      code: 'REPLAY_NAME_TAKEN',
      severity: 'blocks',
      message: `There is a container ${workload.ref.name} on ${target.hostname} already.`,
      meaning: 'The rebuilt container is to have the name of its original.',
      remedy: 'Rename or remove the one there, or leave --start out.',
    });
  }
  const onLan = Object.values(workload.networks as Record<string, NetworkInspect>)
    .filter((network) => parentOf(network) !== undefined)
    .map(({ Name }) => Name);
  if (start && workload.state === 'running' && onLan.length > 0) {
    findings.push({
      code: 'REPLAY_ADDRESS_IN_USE',
      severity: 'blocks',
      message: `${workload.ref.name} runs, and has an address of its own on ${onLan.join(', ')}.`,
      meaning: 'With the same configuration there would be two on the network with one address.',
      remedy: 'Stop it first, or leave --start out.',
    });
  }
  if (target.arch !== arch) {
    findings.push({
      code: 'REPLAY_OTHER_ARCHITECTURE',
      severity: 'costs',
      message: `${target.hostname} is of another architecture: ${target.arch}.`,
      meaning: `The image is built from ${workload.image.reference} as it is there or in its registry; programs differ in every byte.`,
      remedy:
        'See the score for what it is, and do not give --capture-rest, which would carry programs of this architecture.',
    });
  }
  return findings;
}

/** What stands after FROM: the id, which no other image has; on another architecture only the name means one that runs. */
export function baseFor({ image }: Pick<WorkloadFacts, 'image'>, target: HostFacts, arch: string): string {
  return target.arch === arch ? image.id : image.reference;
}

export function blocking(findings: readonly Finding[]): DrayageError | undefined {
  const blocks = findings.filter(({ severity }) => severity === 'blocks');
  if (blocks.length === 0) return undefined;
  return new DrayageError(
    'MIGRATION_BLOCKED',
    `It cannot be rebuilt there: ${blocks.map(({ message }) => message).join(' ')}`,
  );
}
