import { expect, test } from 'vitest';
import { type Probe, parseProbe, probe } from './probe.ts';
import { atLeast, requirements } from './requirements.ts';
import { localShell } from './shell.ts';

const FIT = parseProbe(`uid=0
system=Linux
arch=x86_64
kernel=6.12.0-1
distribution.id=debian
distribution.version=13
criu.version=4.1.1
criu.check=ok
docker.version=26.1.5+dfsg1
docker.running=yes
tool=runc
tool=rsync
tool=nft
tool=sha256sum
diskfree=1000000
wrapper=absent
`);
const NEEDS = { arch: 'x86_64', programBytes: 130e6 };
const codes = (change: Partial<Probe>) => requirements({ ...FIT, ...change }, NEEDS).map(({ code }) => code);

test('a host that is fit', () => expect(codes({})).toEqual([]));

test.each<[string, Partial<Probe>, string[]]>([
  ['no root', { uid: 1000 }, ['NOT_ROOT']],
  ['no root, who cannot check either', { uid: 1000, criu: { version: '4.1', check: 'EPERM' } }, ['NOT_ROOT']],
  ['another system', { system: 'FreeBSD' }, ['NOT_LINUX']],
  ['another processor', { arch: 'aarch64' }, ['OTHER_ARCH']],
  ['an old kernel', { kernel: '4.19.0' }, ['KERNEL_TOO_OLD']],
  ['no CRIU', { criu: null }, ['CRIU_ABSENT']],
  ['an old CRIU', { criu: { version: '3.19', check: 'ok' } }, ['CRIU_TOO_OLD']],
  ['a CRIU too old for its kernel', { kernel: '6.18.1' }, ['CRIU_TOO_OLD']],
  ['a CRIU new enough for it', { kernel: '6.18.1', criu: { version: '4.2.1', check: 'ok' } }, []],
  ['a failing criu check', { criu: { version: '4.1', check: 'no timens' } }, ['CRIU_CHECK']],
  ['no Docker', { docker: null }, ['DOCKER_ABSENT']],
  ['an old Docker', { docker: { version: '20.10.24', running: true } }, ['DOCKER_TOO_OLD']],
  ['a stopped Docker', { docker: { version: '28.5.2', running: false } }, ['DOCKER_DOWN']],
  ['no rsync, no nft', { tools: new Set(['runc', 'sha256sum', 'iptables']) }, ['RSYNC_ABSENT', 'NFT_ABSENT']],
  ['a full disk', { diskFree: 1e6 }, ['DISK_FULL']],
  ['everything at once', { uid: 5, criu: null, docker: null }, ['NOT_ROOT', 'CRIU_ABSENT', 'DOCKER_ABSENT']],
])('%s', (_, change, expected) => expect(codes(change)).toEqual(expected));

test.each([
  [{ id: 'ubuntu', version: '24.04', like: 'debian' }, 'ppa:criu/ppa'],
  [{ id: 'debian', version: '12', like: '' }, 'criu/sid'],
  [{ id: 'debian', version: '13', like: '' }, 'apt-get install -y criu'],
  [{ id: 'rocky', version: '9', like: 'rhel centos fedora' }, 'dnf install'],
  [{ id: 'nixos', version: '26.05', like: '' }, 'criu.org'],
])('the way to CRIU on %j', (distribution, way) => {
  expect(requirements({ ...FIT, distribution, criu: null }, NEEDS)[0]?.remedy).toContain(way);
});

test.each([
  ['6.18.44-fc-v669', '6.16', true],
  ['6.9', '6.16', false],
  ['26.1.5+dfsg1', '24.0', true],
  ['4', '4.0', true],
  ['', '4.0', false],
])('%s at least %s: %s', (version, oldest, is) => expect(atLeast(version, oldest)).toBe(is));

test('the script runs here', async () => {
  const here = await probe(localShell);
  expect(here).toMatchObject({ uid: process.getuid?.(), system: 'Linux', kernel: expect.stringMatching(/^\d/) });
  expect(here.diskFree).toBeGreaterThan(0);
});
