/** `./dev test [unit|lab] [vitest arguments]`: unit tests first, then the lab; one exit status for both. */
import { spawnSync } from 'node:child_process';

const [first, ...rest] = process.argv.slice(2);
const kinds = first === 'unit' || first === 'lab' ? [first] : ['unit', 'lab'];
const extra = first === 'unit' || first === 'lab' ? rest : process.argv.slice(2);
for (const kind of kinds) {
  const { status } = spawnSync(
    'vitest',
    ['run', '--project', kind, ...(kind === 'lab' ? ['--reporter=verbose'] : []), ...extra],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
