/** Pure: Docker's daemon.json with and without drayage's runtime; whatever else is in it stays, in its order. */
import { isDeepStrictEqual } from 'node:util';
import { DrayageError } from '../errors.ts';
import { RUNTIME_NAME, SHIM } from './layout.ts';

/**
 * The text with the runtime; null where it is there already. `text` is null where there is no file.
 * @throws DrayageError SETUP_DAEMON_JSON where it is not one JSON object.
 */
export function withRuntime(text: string | null, file: string): string | null {
  const config = parse(text, file);
  const runtimes = runtimesOf(config, file);
  if (isDeepStrictEqual(runtimes[RUNTIME_NAME], { path: SHIM })) return null;
  return format({ ...config, runtimes: { ...runtimes, [RUNTIME_NAME]: { path: SHIM } } });
}

/**
 * What to write so that the runtime is gone, or null where it is not there. `reload` is what the daemon must be made to
 * read: it keeps its old runtimes where the key is absent (moby, daemon/reload_unix.go), so that an emptied object must
 * be shown to it first. `final` is what stays, null for no file: the file as it was before setup where nothing else has
 * changed since, byte for byte.
 */
export function withoutRuntime(
  text: string | null,
  before: string | null,
  file: string,
): { reload: string; final: string | null } | null {
  const config = parse(text, file);
  const runtimes = runtimesOf(config, file);
  if (!(RUNTIME_NAME in runtimes)) return null;
  const { [RUNTIME_NAME]: _, ...others } = runtimes;
  const reload = format({ ...config, runtimes: others });
  if (before !== null && isUnchangedSince(before, config, file)) return { reload, final: before };
  if (Object.keys(others).length > 0) return { reload, final: reload };
  const { runtimes: __, ...rest } = config;
  return { reload, final: before === null && Object.keys(rest).length === 0 ? null : format(rest) };
}

function isUnchangedSince(before: string, config: JsonObject, file: string): boolean {
  try {
    return isDeepStrictEqual(parse(withRuntime(before, file) ?? before, file), config);
  } catch {
    return false; // Someone has broken the copy; then it is of no use.
  }
}

type JsonObject = Record<string, unknown>;

/** The daemon takes an empty file for an empty configuration and skips a byte order mark. */
function parse(text: string | null, file: string): JsonObject {
  const bare = (text ?? '').replace(/^\uFEFF/, '').trim();
  if (bare === '') return {};
  let config: unknown;
  try {
    config = JSON.parse(bare);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DrayageError('SETUP_DAEMON_JSON', `${file} is not valid JSON: ${why}`, { cause: error });
  }
  if (!isObject(config)) throw new DrayageError('SETUP_DAEMON_JSON', `${file} does not hold a JSON object.`);
  return config;
}

function runtimesOf(config: JsonObject, file: string): JsonObject {
  const runtimes = config.runtimes ?? {};
  if (!isObject(runtimes)) throw new DrayageError('SETUP_DAEMON_JSON', `"runtimes" in ${file} is not an object.`);
  return runtimes;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function format(config: JsonObject): string {
  return `${JSON.stringify(config, null, 2)}\n`;
}
