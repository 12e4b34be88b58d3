/** `./dev check`: runs every static check, all of them even if one fails, and exits non-zero if any did. */
import { spawnSync } from 'node:child_process';

const checks: [string, string[]][] = [
  ['tsc', ['--project', 'tsconfig.json']],
  ['biome', ['ci', '.']],
  ['knip', []],
];
let failed = 0;
for (const [program, args] of checks) {
  console.log(`check: ${program}`);
  if (spawnSync(program, args, { stdio: 'inherit' }).status !== 0) failed++;
}
console.log(failed === 0 ? 'check: all well' : `check: ${failed} of ${checks.length} failed`);
process.exitCode = failed === 0 ? 0 : 1;
