/**
 * `./dev test [unit|lab] [vitest arguments]`: unit tests first, then the lab; one exit status for all. The lab's tests
 * wait more than they work: without further arguments they go side by side in two lanes, each with labs of its own.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One for each version of Docker, and what the other one tests for both: so they are about as long. */
const LANES = {
  26: ['lab/processes', 'lab/process-faults'],
  28: ['lab/bad-input', 'lab/bad-input-traffic', 'contract/docker'],
};

const [first, ...rest] = process.argv.slice(2);
const isKind = first === 'unit' || first === 'lab';
const kinds = isKind ? [first] : ['unit', 'lab'];
const extra = isKind ? rest : process.argv.slice(2);
for (const kind of kinds) {
  const project = ['run', '--project', kind, ...(kind === 'lab' ? ['--reporter=verbose'] : []), ...extra];
  const statuses = await Promise.all(
    kind === 'lab' && extra.length === 0
      ? Object.entries(LANES).map(([docker, elsewhere]) =>
          vitest([...project, '--exclude', `test/{${elsewhere.join()}}.test.ts`], docker),
        )
      : [vitest(project)],
  );
  const failed = statuses.find((status) => status !== 0);
  if (failed !== undefined) process.exit(failed);
}

/** @param docker of the lane: before every line, since those of both are mixed */
function vitest(args: readonly string[], docker?: string): Promise<number> {
  const isLane = docker !== undefined;
  const child = spawn('vitest', args, {
    stdio: isLane ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    env: isLane ? { ...process.env, DRAYAGE_TEST_DOCKER: docker } : process.env,
  });
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    if (from !== null) createInterface(from).on('line', (line) => to.write(`Docker ${docker} │ ${line}\n`));
  }
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}
