/**
 * `./dev test [unit|lab] [vitest arguments]`: unit tests first, then the lab; one exit status for all. The lab's tests
 * wait more than they work: without further arguments they go side by side in two lanes, each with labs of its own.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** About as long as each other: most of the faults with what fills up their lane, and all else. */
const FAULTS = ['faults-26', 'faults-28', 'replay-faults', 'restart', 'connections-address'];
const LANES = {
  faults: FAULTS.map((name) => `test/lab/${name}.test.ts`),
  others: ['--exclude', `test/lab/{${FAULTS.join()}}.test.ts`],
};

const [first, ...rest] = process.argv.slice(2);
const isKind = first === 'unit' || first === 'lab';
const kinds = isKind ? [first] : ['unit', 'lab'];
const extra = isKind ? rest : process.argv.slice(2);
for (const kind of kinds) {
  const project = ['run', '--project', kind, ...(kind === 'lab' ? ['--reporter=verbose'] : []), ...extra];
  const statuses = await Promise.all(
    kind === 'lab' && extra.length === 0
      ? Object.entries(LANES).map(([name, files]) => vitest([...project, ...files], `${name} │ `))
      : [vitest(project)],
  );
  const failed = statuses.find((status) => status !== 0);
  if (failed !== undefined) process.exit(failed);
}

/** @param prefix of every line, where lines of several are mixed */
function vitest(args: readonly string[], prefix?: string): Promise<number> {
  const child = spawn('vitest', args, { stdio: prefix === undefined ? 'inherit' : ['inherit', 'pipe', 'pipe'] });
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    if (from !== null) createInterface(from).on('line', (line) => to.write(`${prefix}${line}\n`));
  }
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}
