/** Which Debian mirror this machine uses: read from its own apt configuration, never written down in the project. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';

export interface AptSource {
  uri: string;
  suites: string[];
  components: string[];
}

/**
 * The mirror's address.
 * @param given what the user asked for (DRAYAGE_DEBIAN_MIRROR), which wins.
 * @throws DrayageError LAB_NO_MIRROR
 */
export async function debianMirror(given: string | undefined, aptDirectory = '/etc/apt'): Promise<string> {
  if (given !== undefined && given !== '') return given.replace(/\/+$/, '');
  const sources = await readSources(aptDirectory);
  const mirror = chooseMirror(sources);
  if (mirror === undefined) throw new DrayageError('LAB_NO_MIRROR', 'No Debian mirror is configured in apt.');
  const list = /^mirror\+file:\/*(\/.*)$/.exec(mirror)?.[1];
  if (list === undefined) return mirror;
  const first = (await readText(list)).split('\n').find((line) => /^https?:/.test(line));
  if (first === undefined) throw new DrayageError('LAB_NO_MIRROR', `No mirror is named in ${list}.`);
  return first.split(/\s/)[0]?.replace(/\/+$/, '') ?? first;
}

/** The first source that is Debian's own archive: it has a suite of Debian's and lies under a path named debian. */
export function chooseMirror(sources: readonly AptSource[]): string | undefined {
  return sources
    .find(
      ({ uri, suites, components }) =>
        components.includes('main') && suites.some((s) => DEBIAN_SUITES.has(s)) && DEBIAN_PATH.test(uri),
    )
    ?.uri.replace(/\/+$/, '');
}

/** Parses the deb822 form (`*.sources`); stanzas that are disabled or only for source packages are left out. */
export function parseDeb822(text: string): AptSource[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const fields = new Map(
        [...stanza.matchAll(/^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)/gm)].map((m) => [m[1]?.toLowerCase(), words(m[2])]),
      );
      if (!fields.get('types')?.includes('deb') || fields.get('enabled')?.[0] === 'no') return [];
      const suites = fields.get('suites') ?? [];
      const components = fields.get('components') ?? [];
      return (fields.get('uris') ?? []).map((uri) => ({ uri, suites, components }));
    });
}

/** Parses the one-line form (`sources.list`, `*.list`). */
export function parseOneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    const [, uri, suite, components] = match ?? [];
    return uri === undefined || suite === undefined ? [] : [{ uri, suites: [suite], components: words(components) }];
  });
}

const DEBIAN_SUITES = new Set([
  ...['bullseye', 'bookworm', 'trixie', 'forky', 'duke', 'sid'],
  ...['oldstable', 'stable', 'testing', 'unstable'],
]);

// Also a mirror list file, as Debian's cloud images have, and a dated snapshot. Other vendors' repositories use
// Debian's suite names too, but not this path.
const DEBIAN_PATH = /^(https?:\/\/.*\/debian(\/[0-9TZ]+)?\/*|mirror\+file:.*debian[^/]*)$/;

async function readSources(aptDirectory: string): Promise<AptSource[]> {
  const parts = join(aptDirectory, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).sort();
  const found = parseOneLine(await readText(join(aptDirectory, 'sources.list')));
  for (const name of names) {
    if (name.endsWith('.sources')) found.push(...parseDeb822(await readText(join(parts, name))));
    if (name.endsWith('.list')) found.push(...parseOneLine(await readText(join(parts, name))));
  }
  return found;
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter(Boolean);
}
