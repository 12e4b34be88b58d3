import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseMirror, debianMirror, parseDeb822, parseOneLine } from './mirror.ts';

const DEB822 = `Types: deb deb-src
# http://snapshot.example/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: sid
Components: main
`;

describe('parseDeb822', () => {
  it('reads stanzas, passing over comments and what is disabled', () => {
    expect(parseDeb822(DEB822).map(({ uri }) => uri)).toEqual([
      'http://mirror.example/debian',
      'http://mirror.example/debian-security',
    ]);
    expect(parseDeb822(DEB822)[0]?.suites).toEqual(['bookworm', 'bookworm-updates']);
  });

  it('reads fields that go on over several lines', () => {
    const text =
      'Types: deb\nURIs:\n http://one.example/debian\n http://two.example/debian\nSuites: sid\nComponents: main';
    expect(parseDeb822(text)).toHaveLength(2);
  });
});

describe('parseOneLine', () => {
  it('reads options, components and trailing comments', () => {
    const text =
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ trixie main contrib # ours\n#deb x y z';
    expect(parseOneLine(text)).toEqual([
      { uri: 'http://mirror.example/debian/', suites: ['trixie'], components: ['main', 'contrib'] },
    ]);
  });

  it('leaves out source packages', () => {
    expect(parseOneLine('deb-src http://mirror.example/debian trixie main')).toEqual([]);
  });
});

describe('chooseMirror', () => {
  it('takes the archive, not its security part nor another vendor with the same suite', () => {
    const sources = [
      ...parseOneLine(
        'deb https://vendor.example/apt bookworm main\ndeb http://m.example/debian-security bookworm-security main',
      ),
      ...parseDeb822(DEB822),
    ];
    expect(chooseMirror(sources)).toBe('http://mirror.example/debian');
  });

  it('finds none on Ubuntu', () => {
    expect(chooseMirror(parseOneLine('deb http://mirror.example/ubuntu noble main universe'))).toBeUndefined();
  });
});

describe('debianMirror', () => {
  let etc = '';
  beforeEach(async () => {
    etc = await mkdtemp(join(tmpdir(), 'apt-'));
    await mkdir(join(etc, 'sources.list.d'));
  });
  afterEach(() => rm(etc, { recursive: true }));

  it('lets the one that was given win', async () => {
    expect(await debianMirror('http://given.example/debian/', etc)).toBe('http://given.example/debian');
  });

  it('follows a mirror list, as cloud images have it', async () => {
    await writeFile(join(etc, 'debian.list'), 'https://cloud.example/debian\n');
    const stanza = `Types: deb\nURIs: mirror+file://${etc}/debian.list\nSuites: trixie\nComponents: main\n`;
    await writeFile(join(etc, 'sources.list.d', 'debian.sources'), stanza);
    expect(await debianMirror(undefined, etc)).toBe('https://cloud.example/debian');
  });

  it('says what to do where there is none', async () => {
    await expect(debianMirror(undefined, etc)).rejects.toMatchObject({
      code: 'LAB_NO_MIRROR',
      remedy: expect.stringContaining('DRAYAGE_DEBIAN_MIRROR'),
    });
  });
});
