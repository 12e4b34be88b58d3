/** Makes docs/errors.md out of the table in src/errors.ts: `node scripts/errors-doc.ts`. */
import { writeFile } from 'node:fs/promises';
import { ERRORS } from '../src/errors.ts';

/** What a script may conclude from the status alone; from 64 on as in sysexits.h. */
export const EXIT_STATUSES: Record<number, string> = {
  0: 'Done; for `migrate` and `watch`: the workload has moved.',
  2: 'The command line is not one that can be carried out.',
  3: 'The workload cannot be moved as things are; nothing has been touched.',
  4: 'The migration was undone; the workload runs on where it was.',
  5: 'In doubt: the workload is held still until it is known, or decided, where it is to run.',
  6: 'The workload has moved already, so there is nothing to undo.',
  65: 'What was given or found cannot be understood.',
  66: 'What was named is not there.',
  69: 'Something that is needed is not there, does not answer or is too old.',
  70: 'drayage itself failed.',
  73: 'What was to be made is there already.',
  74: 'Reading, writing or sending failed.',
  75: 'Not now: something else is under way or in use; try again later.',
  76: 'The other side speaks another protocol or version.',
  77: 'Not permitted.',
  78: 'Something must be configured first.',
  130: 'Stopped by the user.',
};

export function errorsDoc(): string {
  const statuses = Object.entries(EXIT_STATUSES).map(([status, meaning]) => `| ${status} | ${meaning} |`);
  const entries = Object.entries(ERRORS)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { exit, meaning, remedy }]) => `### ${code}\nExit status ${exit}. ${meaning}\n\n${remedy}`);
  return `# Errors
Made from \`src/errors.ts\` by \`node scripts/errors-doc.ts\`; a test holds both equal.

An error is written to standard error: \`error CODE: what happened\`, what it means for you, and after an arrow what to do. With \`--json\` it is the last line of standard output: \`{"type":"error","code":…,"message":…,"meaning":…,"remedy":…}\`. Meaning and remedy may be more precise there than here.

## Exit statuses
| status | meaning |
|---|---|
${statuses.join('\n')}

## Codes
${entries.join('\n\n')}
`;
}

if (import.meta.main) await writeFile('docs/errors.md', errorsDoc());
