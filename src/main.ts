/** The composition root: what the commands are given, and how errors become output and exit statuses. */
import { DrayageError, ERRORS } from './errors.ts';

/** Put in by scripts/build.ts. */
declare const DRAYAGE_VERSION: string | undefined;
const version = typeof DRAYAGE_VERSION === 'undefined' ? '0.0.0-dev' : DRAYAGE_VERSION;

const words = process.argv.slice(2);

process.exit(await main().catch(fail));

async function main(): Promise<number> {
  // A reader that has gone away (drayage history | head) is no error.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit());
  return (await import('./cli/run.ts')).run({ words, version, script: import.meta.filename, env: process.env });
}

/** The only mapping of errors to output and exit statuses. */
async function fail(thrown: unknown): Promise<number> {
  const error = DrayageError.from(thrown);
  (await import('./cli/run.ts')).writeError(error, { words, env: process.env });
  return ERRORS[error.code].exit;
}
