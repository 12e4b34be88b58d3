/** Makes a host's directory, and its processes out of that. */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DrayageError } from '../src/errors.ts';
import { startDetached } from '../src/exec/run.ts';
import { asset } from './assets.ts';
import { pingDocker } from './docker-api.ts';
import { poll } from './poll.ts';
import { childrenOf, identify, type ProcessId } from './process.ts';
import { installProgram } from './program.ts';
import type { HostState } from './state.ts';

/** In the environment of the processes that a lab starts with, so that those of a crashed run can be found. */
export const LAB_VARIABLE = 'DRAYAGE_LAB_DIRECTORY';

/** What the host has of its own over the base; see boot.sh for the directories beside it. */
export function hostTree(directory: string): string {
  return join(directory, 'upper');
}

export interface HostFiles {
  directory: string;
  name: string;
  /** All hosts of the lab, this one too. */
  hosts: readonly HostState[];
  /** The directory with the program that is to be installed; without one the host knows nothing of drayage. */
  program: string | undefined;
}

/** Writes what makes the host different from its base; keys are added by keys.ts. */
export async function prepareHost({ directory, name, hosts, program }: HostFiles): Promise<void> {
  const tree = hostTree(directory);
  const dirs = ['work', 'root', 'docker/containers', 'containerd', 'containers', 'upper/etc/docker', 'upper/usr/sbin'];
  for (const dir of dirs) await mkdir(join(directory, dir), { recursive: true });
  const names = hosts.map((host) => `${host.address} ${host.name}\n`);
  await writeFile(join(tree, 'etc/hostname'), `${name}\n`);
  await writeFile(join(tree, 'etc/machine-id'), `${randomBytes(16).toString('hex')}\n`);
  await writeFile(join(tree, 'etc/hosts'), `127.0.0.1 localhost\n${names.join('')}`);
  await writeFile(join(tree, 'etc/docker/daemon.json'), `${JSON.stringify(DAEMON, null, 2)}\n`);
  await copyFile(await asset('host/init.sh'), join(tree, 'usr/sbin/lab-init'));
  if (program === undefined) return;
  await mkdir(join(directory, 'drayage'), { recursive: true });
  await installProgram(tree, program);
}

export interface HostStart {
  /** The lab's. */
  labDirectory: string;
  /** The host's. */
  directory: string;
  name: string;
  /** Directories of the root file system, the uppermost first. */
  layers: readonly string[];
  diskMb: number | undefined;
}

/** Starts the host's namespaces and resolves to its init. Its network is still to be plugged in. */
export async function startHost({ labDirectory, directory, name, layers, diskMb }: HostStart): Promise<ProcessId> {
  const script = [await asset('host/boot.sh'), directory, layers.join(':'), name, String(diskMb ?? '-')];
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--propagation', 'private'];
  const log = openSync(bootLog(directory), 'a', 0o600);
  // The host ends with the process that holds it: --kill-child.
  const holder = startDetached('unshare', [...namespaces, '--fork', '--kill-child', 'sh', ...script], log, {
    [LAB_VARIABLE]: labDirectory,
  });
  closeSync(log);
  const init = await poll(() => (holder === undefined ? undefined : childrenOf(holder)[0]), {
    everyMs: 2,
    timeoutMs: 5000,
  });
  const id = init === undefined ? undefined : identify(init);
  if (id === undefined) throw await bootFailure(directory, name, 'its namespaces could not be made');
  return id;
}

/** Resolves when the host can be worked with: its engine and its sshd answer. */
export async function untilReady(
  { directory, host }: { directory: string; host: HostState },
  signal?: AbortSignal,
): Promise<void> {
  const pid = host.init?.pid;
  const root = `/proc/${pid}/root`;
  const gone = () => !existsSync(`/proc/${pid}`);
  const isEntered = () =>
    existsSync(`${root}/run/drayage-supervisor/ready`) && statSync(root).ino !== statSync('/').ino;
  const entered = await poll(() => gone() || isEntered() || undefined, { everyMs: 10, timeoutMs: 20_000, signal });
  if (entered === undefined || gone()) throw await bootFailure(directory, host.name, 'it did not start');
  const answers = async () => gone() || (await pingDocker(dockerSocket(pid))) || undefined;
  const docker = await poll(answers, { timeoutMs: 60_000, signal });
  if (docker === undefined || gone()) throw await bootFailure(directory, host.name, 'Docker does not answer');
  const ssh = await poll(() => listens(host.address, 22), { timeoutMs: 20_000, signal });
  if (ssh === undefined) throw await bootFailure(directory, host.name, 'sshd does not answer');
}

/** A path by which this machine reaches the host's engine: the host's own socket, through its init's root directory. */
export function dockerSocket(pid: number | undefined): string {
  return `/proc/${pid}/root/run/docker.sock`;
}

const DAEMON = {
  'storage-driver': 'overlay2',
  'exec-opts': ['native.cgroupdriver=cgroupfs'],
  'live-restore': true,
};

function bootLog(directory: string): string {
  return join(directory, 'boot.log');
}

function listens(address: string, port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 1000 });
    const answer = (is: true | undefined) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(undefined));
    socket.once('timeout', () => answer(undefined));
  });
}

async function bootFailure(directory: string, name: string, what: string): Promise<DrayageError> {
  const logs = [bootLog(directory), join(hostTree(directory), 'var/log/dockerd.log')];
  const texts = await Promise.all(logs.map((log) => readFile(log, 'utf8').catch(() => '')));
  const last = texts.join('').trim().split('\n').slice(-6).join('\n  ');
  return new DrayageError('LAB_BOOT_FAILED', `Lab host ${name}: ${what}.${last === '' ? '' : `\n  ${last}`}`);
}
