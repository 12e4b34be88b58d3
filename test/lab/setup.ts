/** Once for all lab tests of a lane: a lab for each version of Docker, of two hosts and a client `c`, taken down at the end. */
import type { TestProject } from 'vitest/node';
import { Lab } from '../../lab/lab.ts';

const ALL = [26, 28] as const;
export type DockerVersion = (typeof ALL)[number];

const { DRAYAGE_TEST_DOCKER: lane } = process.env;
/** Those that tests run with: in a lane (scripts/test.ts) one of them, otherwise all. */
export const DOCKERS = ALL.filter((version) => lane === undefined || lane === String(version));
/** For what no engine takes part in. */
export const ANY_DOCKER = DOCKERS[0] ?? 26;

declare module 'vitest' {
  interface ProvidedContext {
    /** Names of the labs, by the version of Docker. */
    labs: Record<DockerVersion, string>;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const labs: Lab[] = [];
  const names = {} as Record<DockerVersion, string>;
  for (const docker of DOCKERS) {
    names[docker] = `test${docker}-${process.pid}`;
    const onProgress = (line: string) => process.stderr.write(`lab: ${line}\n`);
    labs.push(
      await Lab.up({
        name: names[docker],
        hosts: ['a', 'b', 'c'],
        docker,
        programDir: 'dist',
        ephemeral: true,
        onProgress,
      }),
    );
  }
  project.provide('labs', names);
  return async () => {
    for (const lab of labs) await lab.down();
  };
}
