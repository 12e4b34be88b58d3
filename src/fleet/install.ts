/**
 * Puts the program's files on a host, this one or another: what differs is sent beside what is there, verified, and
 * only then everything is renamed at once. An interrupted installation leaves the old version whole; the next one
 * sends what is missing again.
 */

import { type Readable, Transform } from 'node:stream';
import { createGzip, createZstdCompress, constants as zlib } from 'node:zlib';
import { DrayageError } from '../errors.ts';
import { ProgramError } from '../exec/run.ts';
import { PROGRAM_DIRECTORY, WRAPPER } from './layout.ts';
import type { Probe } from './probe.ts';
import type { Program, ProgramFile } from './program.ts';
import type { Shell } from './shell.ts';

export interface InstallPlan {
  write: ProgramFile[];
  /** Something else is where the wrapper belongs, e.g. an npm installation's own link: it is left alone. */
  keepsForeignWrapper: boolean;
}

/** Pure. `present`: SHA-256 by path of what is on the host. */
export function planInstall(
  program: Program,
  present: ReadonlyMap<string, string>,
  wrapper: Probe['wrapper'],
): InstallPlan {
  const keepsForeignWrapper = wrapper === 'foreign';
  const wanted = program.files.filter(({ path }) => !(keepsForeignWrapper && path === WRAPPER));
  return { write: wanted.filter((file) => present.get(file.path) !== file.sha256), keepsForeignWrapper };
}

export interface InstallOptions {
  shell: Shell;
  tools: Probe['tools'];
  /** The shell is on another host: what goes there is compressed. */
  remote: boolean;
  signal?: AbortSignal | undefined;
  /** Bytes of one file that have been sent so far, before compression. */
  onProgress?: (file: ProgramFile, bytes: number) => void;
}

/** SHA-256 by path of those of the program's files that are there. */
export async function presentFiles(shell: Shell, program: Program, signal?: AbortSignal): Promise<Map<string, string>> {
  const paths = program.files.map((file) => file.path);
  return parseHashes(await shell.run(HASHES, paths, { signal }));
}

/** @throws DrayageError HOST_TRANSFER where a file did not arrive whole; what the way to the host raises. */
export async function install(plan: InstallPlan, options: InstallOptions): Promise<void> {
  if (plan.write.length === 0) return;
  for (const file of plan.write) await put(file, options);
  try {
    await options.shell.run(ACTIVATE, [PROGRAM_DIRECTORY, ...plan.write.map((file) => file.path)], {
      signal: options.signal,
    });
  } catch (error) {
    throw transferError('The new files cannot be taken into use', error);
  }
}

type Packing = 'zstd' | 'gzip' | 'none';

async function put(file: ProgramFile, { shell, tools, remote, signal, onProgress }: InstallOptions): Promise<void> {
  const packing: Packing =
    !remote || file.bytes < 1 << 16 ? 'none' : tools.has('zstd') ? 'zstd' : tools.has('gzip') ? 'gzip' : 'none';
  const input = pack(file.open(), packing, (bytes) => onProgress?.(file, bytes));
  let sum: string | undefined;
  try {
    sum = parseHashes(await shell.run(PUT, [file.path, packing], { signal, input })).get(incoming(file.path));
  } catch (error) {
    throw transferError(`${file.path} cannot be written`, error);
  }
  if (sum !== file.sha256) throw new DrayageError('HOST_TRANSFER', `${file.path} did not arrive as it was sent.`);
}

function pack(source: Readable, packing: Packing, onBytes: (bytes: number) => void): Readable {
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      onBytes(bytes);
      done(null, chunk);
    },
  });
  const counted = source.compose(count);
  switch (packing) {
    case 'zstd':
      return counted.compose(createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: 3 } }));
    case 'gzip':
      return counted.compose(createGzip({ level: 1 }));
    case 'none':
      return counted;
    default:
      return packing satisfies never;
  }
}

/** What the shell itself reports is about the files; what the way to the host reports has a code of its own already. */
function transferError(what: string, error: unknown): unknown {
  if (!(error instanceof ProgramError)) return error;
  return new DrayageError('HOST_TRANSFER', `${what}: ${error.message}`, { cause: error });
}

const incoming = (path: string) => `${path}.incoming`;

/** From the lines `<sum>  <path>` of sha256sum. */
export function parseHashes(output: string): Map<string, string> {
  return new Map([...output.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].map(([, sum = '', path = '']) => [path, sum]));
}

const HASHES = 'for file in "$@"; do [ ! -f "$file" ] || sha256sum "$file" || exit 1; done';

const PUT = `
set -e
umask 022
mkdir -p "$(dirname "$1")"
new=$1.incoming
rm -f "$new"
case $2 in
  zstd) zstd -d -q -c >"$new" ;;
  gzip) gzip -d -c >"$new" ;;
  none) cat >"$new" ;;
esac
chmod 755 "$new"
sync "$new" 2>/dev/null || sync
sha256sum "$new"
`;

/** A node binary that does not run here (another C library) must not replace one that does. */
const ACTIVATE = `
set -e
directory=$1
shift
if [ -f "$directory/node.incoming" ]; then "$directory/node.incoming" --version >/dev/null; fi
for file in "$@"; do mv -f "$file.incoming" "$file"; done
sync "$directory" "$directory/shim" 2>/dev/null || sync
`;
