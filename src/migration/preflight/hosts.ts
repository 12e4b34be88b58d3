/** What each of the two hosts must have. */
import type { HostFacts } from '../../engines/facts.ts';
import type { Finding } from '../finding.ts';
import { type Entry, raising } from './finding-table.ts';
import { compareVersions } from './versions.ts';

/** Findings of one host, by itself. */
export function checkHost(host: HostFacts): Finding[] {
  return [...rootFindings(host), ...criuFindings(host), ...toolFindings(host), ...dockerFindings(host)];
}

/** Scripts from CRIU's configuration file run in RPC mode since then (criu/action-scripts.c). */
const OLDEST_CRIU = '4.0';
/** The first that dumps sockets on kernels from 6.16 on, which answer SO_PASSCRED no longer (criu issue 2705). */
const CRIU_FOR_NEW_KERNELS = '4.2';
const NEW_KERNEL = '6.16';
/** Engine API 1.43, and runc's state where drayage looks for it. */
const OLDEST_DOCKER = '24.0';
const TOOLS = ['ip', 'nsenter', 'rsync', 'ss', 'ssh'] as const;
/** The first with --stderr (rsync's NEWS); its daemon's `refuse options` know patterns since 3.2.0. */
const OLDEST_RSYNC = '3.2.3';

export const HOST_FINDINGS = {
  NO_ROOT: {
    severity: 'blocks',
    meaning: "CRIU and the engine's files need root.",
    remedy: 'Start the agent as root (systemctl start drayage).',
  },
  CRIU_MISSING: {
    severity: 'blocks',
    meaning: 'CRIU is what takes the memory of running programs and gives it back.',
    remedy: 'Install CRIU 4.2 or newer there (apt install criu), then see criu check.',
  },
  CRIU_TOO_OLD: {
    severity: 'blocks',
    meaning: `drayage holds the copy back by a script of CRIU's configuration file, which CRIU runs for an engine since ${OLDEST_CRIU}.`,
    remedy: 'Install CRIU 4.2 or newer there.',
  },
  CRIU_TOO_OLD_FOR_KERNEL: {
    severity: 'blocks',
    meaning: `Since Linux ${NEW_KERNEL} sockets answer otherwise, and CRIU before ${CRIU_FOR_NEW_KERNELS} can dump none ("Can't get 1:16 opt").`,
    remedy: `Install CRIU ${CRIU_FOR_NEW_KERNELS} or newer there (Debian 13 has 4.1.1, Debian unstable 4.2.1).`,
  },
  CRIU_CHECK: {
    severity: 'blocks',
    meaning: 'CRIU itself says that this kernel lacks what it needs.',
    remedy:
      'Run criu check there; as a rule the kernel was built without CONFIG_CHECKPOINT_RESTORE, or it runs in a sandbox.',
  },
  RUNC_MISSING: {
    severity: 'blocks',
    meaning: "Memory is taken and given back through runc, as the engine's own runtime.",
    remedy: 'Install runc there; it comes with Docker.',
  },
  TOOL_MISSING: {
    severity: 'blocks',
    meaning: 'drayage carries files and looks into namespaces with it.',
    remedy:
      'Run drayage setup there, which installs what is missing (packages iproute2, util-linux, rsync, openssh-client).',
  },
  RSYNC_TOO_OLD: {
    severity: 'blocks',
    meaning: `Files are carried by rsync with options that are there since ${OLDEST_RSYNC}.`,
    remedy: `Install rsync ${OLDEST_RSYNC} or newer there.`,
  },
  DOCKER_UNREACHABLE: {
    severity: 'blocks',
    meaning: 'There is no engine to take the container from or to give it to.',
    remedy: 'Start Docker there (systemctl start docker), and see docker info.',
  },
  DOCKER_TOO_OLD: {
    severity: 'blocks',
    meaning: `drayage speaks with Docker ${OLDEST_DOCKER} and newer.`,
    remedy: 'Upgrade Docker there; with live-restore the containers go on meanwhile.',
  },
  STORAGE_DRIVER: {
    severity: 'blocks',
    meaning:
      "The container's own files are carried from and to overlay2's directories; other drivers keep them elsewhere.",
    remedy:
      'Set "storage-driver": "overlay2" in /etc/docker/daemon.json there; images must be pulled or built anew then.',
  },
  CONTAINERD_IMAGE_STORE: {
    severity: 'blocks',
    meaning: 'With the containerd image store Docker does not tell where a container keeps its files.',
    remedy:
      'Set "features": {"containerd-snapshotter": false} in /etc/docker/daemon.json there; images must be pulled or built anew then.',
  },
  USERNS_REMAP: {
    severity: 'blocks',
    meaning:
      'Files and processes have other owners there than their numbers say, and the copy would get the wrong ones.',
    remedy: 'Turn userns-remap off there, or move it by stopping it here and starting it there.',
  },
  ROOTLESS_DOCKER: {
    severity: 'blocks',
    meaning: 'CRIU cannot save or restore what runs in the user namespace of rootless Docker.',
    remedy: 'Use a Docker that root runs.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(HOST_FINDINGS);

function rootFindings({ root, hostname }: HostFacts): Finding[] {
  return root ? [] : [raise('NO_ROOT', `The agent of ${hostname} does not run as root.`)];
}

function criuFindings({ criu, hostname, kernel }: HostFacts): Finding[] {
  if (criu === null) return [raise('CRIU_MISSING', `${hostname} has no CRIU.`)];
  const { version, check } = criu;
  // One that does not start says nothing of its version, only why.
  if (version !== '0' && compareVersions(version, OLDEST_CRIU) < 0) {
    return [raise('CRIU_TOO_OLD', `${hostname} has CRIU ${version}.`)];
  }
  const old = compareVersions(version, CRIU_FOR_NEW_KERNELS) < 0 && compareVersions(kernel, NEW_KERNEL) >= 0;
  return [
    ...(old && version !== '0'
      ? [raise('CRIU_TOO_OLD_FOR_KERNEL', `${hostname} has CRIU ${version} and Linux ${kernel}.`)]
      : []),
    ...(check === 'ok' ? [] : [raise('CRIU_CHECK', `criu check fails on ${hostname}: ${check}.`)]),
  ];
}

function toolFindings({ runc, rsync, tools, hostname }: HostFacts): Finding[] {
  const missing = TOOLS.filter((tool) => tools[tool] === false);
  return [
    ...(runc === null ? [raise('RUNC_MISSING', `${hostname} has no runc.`)] : []),
    ...(missing.length === 0 ? [] : [raise('TOOL_MISSING', `${hostname} lacks ${missing.join(', ')}.`)]),
    ...(rsync !== null && compareVersions(rsync.version, OLDEST_RSYNC) < 0
      ? [raise('RSYNC_TOO_OLD', `${hostname} has rsync ${rsync.version}.`)]
      : []),
  ];
}

function dockerFindings({ docker, hostname }: HostFacts): Finding[] {
  if (docker === null) return [raise('DOCKER_UNREACHABLE', `No Docker answers on ${hostname}.`)];
  const { version, storageDriver, security } = docker;
  const has = (name: string): boolean => security.some((option) => option.split(',').includes(`name=${name}`));
  return [
    ...(compareVersions(version, OLDEST_DOCKER) < 0
      ? [raise('DOCKER_TOO_OLD', `${hostname} has Docker ${version}.`)]
      : []),
    ...storageFindings(hostname, storageDriver),
    ...(has('userns') ? [raise('USERNS_REMAP', `Docker on ${hostname} maps users (userns-remap).`)] : []),
    ...(has('rootless') ? [raise('ROOTLESS_DOCKER', `Docker on ${hostname} runs without root.`)] : []),
  ];
}

function storageFindings(hostname: string, driver: string): Finding[] {
  switch (driver) {
    case 'overlay2':
      return [];
    // The snapshotter's name, where the engine's own driver is called overlay2.
    case 'overlayfs':
      return [raise('CONTAINERD_IMAGE_STORE', `Docker on ${hostname} uses the containerd image store.`)];
    default:
      return [raise('STORAGE_DRIVER', `Docker on ${hostname} uses the storage driver ${driver}.`)];
  }
}
