/** Every kind of file arrives as it is: of the writable layer, of volumes and, where asked for, of bind mounts. */
import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { codes, docker, inspect, logs, Pair, runContainer, until } from './harness.ts';
import { DOCKERS } from './setup.ts';

describe.each(DOCKERS)('Docker %i', (version) => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.of(version, ['python', 'counter']);
  });
  afterEach(() => pair.clear());

  test('files of all kinds, in the writable layer and in volumes, there and back', async () => {
    const { a, b } = pair;
    const flags = ['-v', 'named:/vol', '-v', '/anonymous'];
    await runContainer(a, 'files', 'python', { flags, command: ['python3', '-c', WRITER] });
    for (const directory of ['/tree', '/vol', '/anonymous']) {
      await docker(a, 'exec', 'files', 'python3', '-c', MAKE_FILES, directory);
    }
    await docker(a, 'exec', 'files', 'sh', '-c', DELETE_FROM_IMAGE);
    await until('the writer writes', async () => (await rounds(a)) > 3);
    const before = await manifest(a);
    expect(before.length).toBeGreaterThan(60);

    await pair.move(a, 'files');
    expect(await manifest(b)).toEqual(before);
    const there = await rounds(b);
    await until('the writer goes on', async () => (await rounds(b)) > there + 5);
    expect(await docker(b, 'exec', 'files', 'sh', '-c', 'ls -A /usr/share/doc /bin/wget 2>&1; cat /etc/group')).toBe(
      'ls: /bin/wget: No such file or directory\n/usr/share/doc:\nonly-this\nnew',
    );
    // What has been changed here is what comes back, over what was left there.
    await docker(b, 'exec', 'files', 'sh', '-c', 'echo changed >/vol/plain; rm /vol/empty; echo more >>/tree/plain');
    const changed = await manifest(b);
    await pair.move(b, 'files');
    expect(await manifest(a)).toEqual(changed);
    await until('the writer goes on', async () => (await rounds(a)) > there + 15);
    expect(await logs(a, 'files')).not.toContain('MISMATCH');
    expect(await pair.leftovers()).toEqual([]);
  });

  test('bind mounts block, and are carried where asked for', async () => {
    const { a, b } = pair;
    await mkdir(a.path('/srv/e2e/dir'), { recursive: true });
    await writeFile(a.path('/srv/e2e/dir/inside'), 'inside\n');
    await writeFile(a.path('/srv/e2e/single'), 'single\n');
    const binds = [
      '-v',
      '/srv/e2e/dir:/dir',
      '-v',
      '/srv/e2e/single:/single:ro',
      '-v',
      '/etc/localtime:/etc/localtime:ro',
    ];
    try {
      await runContainer(a, 'bound', 'counter', { flags: binds });
      const blocked = await pair.migrate(a, 'bound');
      expect(blocked.status).toBe(3);
      expect(codes(blocked)).toEqual(['BIND_MOUNT', 'BIND_MOUNT', 'MIGRATION_BLOCKED']);
      expect(JSON.stringify(blocked.events)).toContain('/srv/e2e/single');
      await pair.move(a, 'bound', '--carry-binds');
      expect(await docker(b, 'exec', 'bound', 'cat', '/dir/inside', '/single')).toBe('inside\nsingle');
      expect((await b.run('cat', ['/srv/e2e/dir/inside', '/srv/e2e/single'])).stdout).toBe('inside\nsingle\n');
      await docker(b, 'exec', 'bound', 'sh', '-c', 'echo written >/dir/there');
      expect((await b.run('cat', ['/srv/e2e/dir/there'])).stdout).toBe('written\n');
      expect(await pair.leftovers()).toEqual([]);
    } finally {
      await pair.clear();
      for (const host of [a, b]) await host.run('rm', ['-rf', '/srv/e2e']);
    }
  });
});

/** Rounds that the writer has completed. */
async function rounds(host: LabHost): Promise<number> {
  return Number((await docker(host, 'logs', '--tail', '1', 'files')).match(/round (\d+)/)?.[1] ?? 0);
}

/** A line for every file in the container but those that the writer changes: all that can be seen of it. */
async function manifest(host: LabHost): Promise<string[]> {
  const { Pid } = (await inspect(host, 'files')).State;
  const places = ['/tree', '/vol', '/anonymous', '/etc/group', '/usr/share/doc', '/bin'];
  const { stdout } = await host.run('python3', ['-c', MANIFEST, `/proc/${Pid}/root`, ...places]);
  return stdout.split('\n').filter(Boolean);
}

const DELETE_FROM_IMAGE = `rm /bin/wget; rm -r /usr/share/doc; mkdir /usr/share/doc; touch /usr/share/doc/only-this
  rm /etc/group; echo new >/etc/group; chmod 600 /etc/group; mkdir -p /tree/sub/deep; rmdir /tree/sub/deep`;

/** In the directory that it is given. */
const MAKE_FILES = `
import os, socket, struct, sys
os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])
def write(name, data): open(name, 'wb').write(data)
write('plain', b'plain\\n')
write('empty', b'')
write('large', os.urandom(3 << 20))
os.link('plain', 'hard1')
os.makedirs('sub/dir')
os.link('plain', 'sub/dir/hard2')
os.symlink('plain', 'link')
os.symlink('/nowhere', 'dangling')
os.symlink('sub', 'to-directory')
write('xattr', b'x')
os.setxattr('xattr', 'user.name', b'value\\x00\\xff')
os.setxattr('sub', 'user.directory', b'1')
write('capable', b'x')
os.setxattr('capable', 'security.capability', struct.pack('<5I', 0x02000000 | 1, 1 << 10, 0, 0, 0))
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in
    [(1, 6, 0xffffffff), (2, 4, 33), (4, 4, 0xffffffff), (16, 6, 0xffffffff), (32, 0, 0xffffffff)])
write('acl', b'x')
os.setxattr('acl', 'system.posix_acl_access', acl)
os.setxattr('sub/dir', 'system.posix_acl_default', acl)
with open('sparse', 'wb') as f:
    f.seek(50 << 20); f.write(b'end')
s = socket.socket(socket.AF_UNIX); s.bind('socket'); s.close()
os.mkfifo('fifo', 0o640)
os.mknod('null', 0o20666, os.makedev(1, 3))
write('owned', b'x'); os.chown('owned', 33, 1234); os.chmod('owned', 0o6711)
os.mkdir('sticky'); os.chmod('sticky', 0o1733)
write(b'new\\nline', b'n'); write(b'not utf-8 \\xff\\xfe', b'b'); write(b'#hash', b'h'); write(b' ;-*', b's')
write('long' + 'x' * 240, b'l')
write('old', b'o'); os.utime('old', ns=(1, 123456789123456789))
write('unreadable', b'u'); os.chmod('unreadable', 0)
for i in range(50): write('sub/many%d' % i, b'%d' % i)
`;

/**
 * Keeps files open and changes them all the time, in every way, and compares each with what it remembers: opened by
 * name again, through the descriptor, through the mapping, and one that has no name any more.
 */
const WRITER = `
import mmap, os, time
os.makedirs('/churn', exist_ok=True)
grown = b''
growing = open('/churn/growing', 'ab', 0)
mapped_file = open('/vol/mapped', 'w+b'); mapped_file.truncate(1 << 16)
mapped = mmap.mmap(mapped_file.fileno(), 1 << 16)
deleted = open('/churn/deleted', 'w+b', 0); os.unlink('/churn/deleted')
n = 0
while True:
    n += 1
    grown += b'%d\\n' % n
    growing.write(b'%d\\n' % n)
    number = b'%16d' % n
    mapped[(n * 4096) % (1 << 16):(n * 4096) % (1 << 16) + 16] = number
    deleted.seek(0); deleted.write(number)
    with open('/vol/new', 'wb') as f: f.write(number * 1000)
    os.rename('/vol/new', '/vol/replaced')
    open('/churn/same-size', 'r+b' if os.path.exists('/churn/same-size') else 'wb').write(number)
    for old in os.listdir('/churn'):
        if old.startswith('short-lived'): os.unlink('/churn/' + old)
    open('/churn/short-lived-%d' % n, 'wb').write(number)
    time.sleep(0.02)
    deleted.seek(0)
    checks = {
        'growing': open('/churn/growing', 'rb').read() == grown,
        'mapped': open('/vol/mapped', 'rb').read()[(n * 4096) % (1 << 16):][:16] == number,
        'deleted': deleted.read() == number,
        'replaced': open('/vol/replaced', 'rb').read() == number * 1000,
        'same-size': open('/churn/same-size', 'rb').read() == number,
        'short-lived': [x for x in os.listdir('/churn') if x.startswith('short')] == ['short-lived-%d' % n],
    }
    for name, ok in checks.items():
        if not ok: print('MISMATCH', name, n, flush=True)
    if n % 10 == 0: print('round', n, flush=True)
`;

const MANIFEST = `
import os, stat, sys, zlib
root = os.fsencode(sys.argv[1])
links = {}
def line(path):
    full = root + path
    s = os.lstat(full)
    kind = stat.S_IFMT(s.st_mode)
    content = ''
    if kind == stat.S_IFREG: content = '%08x' % zlib.crc32(open(full, 'rb').read())
    if kind == stat.S_IFLNK: content = os.readlink(full)
    attributes = {}
    if kind != stat.S_IFLNK: attributes = {k: os.getxattr(full, k) for k in sorted(os.listxattr(full))}
    group = links.setdefault(s.st_ino, path) if s.st_nlink > 1 and kind != stat.S_IFDIR else ''
    times = s.st_mtime_ns if kind != stat.S_IFDIR or not path.startswith((b'/vol', b'/etc')) else ''
    blocks = s.st_blocks // 256 if kind == stat.S_IFREG else ''
    print(path, oct(s.st_mode), s.st_uid, s.st_gid, s.st_size if kind == stat.S_IFREG else '', times, s.st_rdev, blocks,
          group, content, attributes)
def walk(path):
    line(path)
    if stat.S_ISDIR(os.lstat(root + path).st_mode):
        for name in sorted(os.listdir(root + path)):
            if name not in (b'mapped', b'new', b'replaced'): walk(path + b'/' + name)
for place in sys.argv[2:]: walk(os.fsencode(place))
`;
