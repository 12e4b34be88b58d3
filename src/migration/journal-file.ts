/** Journals as files: `<dir>/<id>.<side>.jsonl`, what is in one, and what of it can be trusted after a crash. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DrayageError } from '../errors.ts';
import { type JournalRecord, migrationIdSchema, recordSchema, SIDES, type Side } from './journal-records.ts';

/** A line longer than this is refused, both ways. */
export const MAX_LINE_BYTES = 1 << 20;

export interface JournalFile {
  id: string;
  side: Side;
  path: string;
}

/** @throws DrayageError USAGE where `id` could name another file */
export function journalPath(dir: string, id: string, side: Side): string {
  if (!migrationIdSchema.safeParse(id).success) {
    throw new DrayageError('USAGE', `${JSON.stringify(id.slice(0, 80))} is not the id of a migration.`, {
      meaning: 'Ids of migrations are made of letters, digits, dots, dashes and underscores.',
      remedy: 'See the ids: drayage history.',
    });
  }
  return join(dir, `${id}.${side}.jsonl`);
}

/** The journals of a directory, by name; none where there is no such directory. */
export async function journalFiles(dir: string): Promise<JournalFile[]> {
  const names = await readdir(dir).catch(() => []);
  return names.sort().flatMap((name) => {
    const side = SIDES.find((one) => name.endsWith(`.${one}.jsonl`));
    const id = side === undefined ? '' : name.slice(0, -`.${side}.jsonl`.length);
    return side !== undefined && migrationIdSchema.safeParse(id).success ? [{ id, side, path: join(dir, name) }] : [];
  });
}

/**
 * All whole records, and how many bytes they take: what follows was torn by a crash.
 * @throws DrayageError JOURNAL_CORRUPT, naming file and line
 */
export async function load(path: string): Promise<{ records: JournalRecord[]; size: number }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw corrupt(path, `cannot be read (${(error as Error).message})`, error);
  }
  const records: JournalRecord[] = [];
  let start = 0;
  // What follows the last newline is a write that a crash cut short; its append never resolved.
  for (let end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
    records.push(parseLine(path, records.length + 1, bytes.subarray(start, end)));
  }
  return { records, size: start };
}

function parseLine(path: string, number: number, line: Buffer): JournalRecord {
  const where = `line ${number} of ${basename(path)}`;
  if (line.length >= MAX_LINE_BYTES) throw corrupt(path, `${where} is longer than ${MAX_LINE_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line));
  } catch (error) {
    throw corrupt(path, `${where} is not JSON`, error);
  }
  const parsed = recordSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw corrupt(path, `${where} is not a record (${issue?.path.join('.')}: ${issue?.message})`, parsed.error);
  }
  if ((number === 1) !== (parsed.data.type === 'header')) {
    throw corrupt(path, `${where} ${number === 1 ? 'is not a header' : 'is a second header'}`);
  }
  return parsed.data;
}

function corrupt(path: string, what: string, cause?: unknown): DrayageError {
  return new DrayageError('JOURNAL_CORRUPT', `The journal ${path} is damaged: ${what}.`, { cause });
}
