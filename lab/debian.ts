/** Trees made of Debian packages: a whole small system, more packages put into one, or only files of packages. */
import { appendFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import { ProgramError, type Run } from '../src/exec/run.ts';

export interface Debian {
  run: Run;
  mirror: string;
  /** Where the output of what failed is kept. */
  log: string;
}

/**
 * Makes a tree at `target`, which must not exist.
 * @param variant `minbase` is a system that can be worked in; `extract` only the named packages and what they need,
 *   unpacked and not set up.
 */
export async function bootstrap(
  { run, mirror, log }: Debian,
  target: string,
  { suite, variant, packages }: { suite: string; variant: 'minbase' | 'extract'; packages: readonly string[] },
): Promise<void> {
  const apt = await aptOptions(run);
  const args = [
    ...['--mode=root', `--variant=${variant}`, `--include=${packages.join(',')}`],
    ...apt.map((option) => `--aptopt=${option}`),
    ...NO_DOCUMENTATION.map((option) => `--dpkgopt=${option}`),
    ...[suite, target, `deb ${mirror} ${suite} main`],
  ];
  await logged(log, () => run('unshare', [...APART, 'mmdebstrap', ...args], { env: APT_ENV }));
}

/** Installs packages of Debian unstable into the tree of an older release, which otherwise stays what it is. */
export async function addFromUnstable(debian: Debian, tree: string, packages: readonly string[]): Promise<void> {
  const etc = join(tree, 'etc/apt');
  const files = [
    // The Release file of unstable is valid for a week only; a mirror that stood still is good enough for a lab.
    [join(etc, 'sources.list.d/unstable.list'), `deb [check-valid-until=no] ${debian.mirror} sid main\n`],
    [join(etc, 'preferences.d/unstable'), 'Package: *\nPin: release n=sid\nPin-Priority: 100\n'],
  ] as const;
  for (const [path, text] of files) await writeFile(path, text, { mode: 0o755 });
  const names = packages.map((name) => `${name}/sid`);
  await inTree(debian, tree, ['apt-get', 'update', '-q']);
  await inTree(debian, tree, ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...names]);
  for (const [path] of files) await rm(path);
}

/** Runs a program in a tree, whose apt reaches the mirror meanwhile. */
export async function inTree({ run, mirror, log }: Debian, tree: string, command: readonly string[]): Promise<void> {
  const etc = join(tree, 'etc/apt');
  const files = [
    [join(etc, 'apt.conf.d/lab'), (await aptOptions(run)).map((option) => `${option}\n`).join('')],
    // Nothing is started while it is installed.
    [join(tree, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n'],
  ] as const;
  for (const [path, text] of files) await writeFile(path, text, { mode: 0o755 });
  await writeFile(join(etc, 'sources.list'), `deb ${mirror} trixie main\n`);
  await cp('/etc/resolv.conf', join(tree, 'etc/resolv.conf'));
  const args = [...APART, `--mount-proc=${join(tree, 'proc')}`, 'chroot', tree, ...command];
  await logged(log, () => run('unshare', args, { env: APT_ENV }));
  for (const [path] of files) await rm(path);
}

/** Takes out of a finished tree what only its making needed: package lists, archives, and where they came from. */
export async function sweep(tree: string): Promise<void> {
  for (const dir of ['var/lib/apt/lists', 'var/cache/apt', 'var/log']) {
    await rm(join(tree, dir), { recursive: true, force: true });
    await mkdir(join(tree, dir), { recursive: true });
  }
  for (const name of ['etc/apt/sources.list', ...HOST_KEYS]) await rm(join(tree, name), { force: true });
  await writeFile(join(tree, 'etc/resolv.conf'), '');
}

/** In namespaces of its own, so that killing it ends all of its children and its mounts, whenever that is. */
const APART = ['--mount', '--pid', '--fork', '--kill-child'];

const APT_ENV = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8', APT_CONFIG: undefined, TMPDIR: undefined };

const HOST_KEYS = ['rsa', 'ecdsa', 'ed25519'].flatMap((kind) =>
  ['', '.pub'].map((end) => `etc/ssh/ssh_host_${kind}_key${end}`),
);

const NO_DOCUMENTATION = ['doc', 'man', 'info', 'locale', 'lintian'].map((dir) => `path-exclude=/usr/share/${dir}/*`);

/** How this machine's apt reaches its mirrors: a proxy, a mirror that stands still. */
async function aptOptions(run: Run): Promise<string[]> {
  const { stdout } = await run('apt-config', ['dump']);
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::(Check-Valid-Until|Retries|https?::Proxy)\b.* ".+";$/i.test(line));
}

async function logged(log: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (!(cause instanceof ProgramError)) throw cause;
    await appendFile(log, `${cause.stdout}\n${cause.stderr}\n`);
    const message = `${cause.program} failed; its output is in ${log}.`;
    throw new DrayageError('LAB_BUILD_FAILED', message, { cause });
  }
}
