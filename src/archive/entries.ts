/**
 * The structure of an archive as it is read: a tar of which every entry but the first has its digest before it, and the
 * seal. Written here and not taken from a library: those read all that entries hold, where what is needed is the place.
 */
import { createHash } from 'node:crypto';
import { DrayageError } from '../errors.ts';
import { type Piece, SMALL } from './chunk-threads.ts';
import type { ArchiveInput } from './input.ts';
import { BLOCK, damaged, type EntryName, MAGIC, MAX_ENTRY, parseName, sealOf } from './layout.ts';
import { padded, parseHeader } from './tar-header.ts';

export interface Stored {
  name: EntryName;
  /** That its content has to have: nothing has looked at that. */
  digest: string;
  /** Bytes. */
  size: number;
  content: Buffer | Piece;
}

/** More than the record of a digest and the words for whoever opens the archive by hand. */
const MAX_HASHED = 64 << 10;

/**
 * When it ends, all but what the entries hold was what the seal says, see skeleton.ts.
 * @throws DrayageError ARCHIVE_FOREIGN at the first bytes, ARCHIVE_DAMAGED
 */
export async function* storedEntries(input: ArchiveInput): AsyncGenerator<Stored, void, undefined> {
  const skeleton = createHash('sha256');
  const hashed = async (length: number): Promise<Buffer> => {
    if (length > MAX_HASHED) throw damaged(`it has a record of ${length} bytes`);
    const bytes = await input.take(length);
    skeleton.update(bytes);
    if (bytes.length < length) throw cutShort();
    return bytes;
  };
  try {
    const first = await input.take(BLOCK);
    if (first.toString('latin1', 0, MAGIC.length) !== MAGIC) throw foreign();
    skeleton.update(first);
    const introduction = parseHeader(first);
    if (introduction?.name !== MAGIC || introduction.type !== 'file') throw damaged('its first entry is another');
    await hashed(padded(introduction.size));
    let record: EntryRecord | undefined;
    const next = async () => parseHeader(await hashed(BLOCK));
    for (let header = await next(); header !== undefined; header = await next()) {
      const { size, type } = header;
      if (type === 'record') {
        record = parseRecord((await hashed(padded(size))).toString('latin1', 0, size));
        continue;
      }
      if (record === undefined) throw damaged('it has an entry without a digest');
      const { name, digest } = record;
      if (size > MAX_ENTRY) throw damaged(`its entry ${JSON.stringify(name)} says that it has ${size} bytes`);
      const parsed = parseName(name);
      const isHere = parsed.kind === 'document' || size < SMALL;
      const content = isHere ? await input.take(size) : await input.piece(size);
      if (content === undefined || (content instanceof Buffer && content.length < size)) throw cutShort();
      yield { name: parsed, digest, size, content };
      record = undefined;
      await hashed(padded(size) - size);
    }
    if ((await next()) !== undefined) throw damaged('it goes on after its end');
    // And not a byte more.
    if (!(await input.take(BLOCK + 1)).equals(sealOf(skeleton.digest('hex')))) throw cutShort();
  } finally {
    await input.close();
  }
}

interface EntryRecord {
  name: string;
  digest: string;
}

/** What a pax record says of the entry behind it; undefined where that is not just what is written into one. */
function parseRecord(text: string): EntryRecord | undefined {
  const [, name, digest] = /^\d+ path=([^\n]+)\n\d+ comment=sha256:([0-9a-f]{64})\n$/.exec(text) ?? [];
  return name === undefined || digest === undefined ? undefined : { name, digest };
}

function cutShort(): DrayageError {
  return damaged('it is cut short, or was changed since');
}

function foreign(): DrayageError {
  return new DrayageError('ARCHIVE_FOREIGN', 'This is not an archive that drayage knows.');
}
