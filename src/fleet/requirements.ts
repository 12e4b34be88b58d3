/** Pure: whether a host can take part at all, all findings at once. */
import type { Finding } from '../migration/finding.ts';
import type { Probe } from './probe.ts';

const OLDEST_CRIU = '4.0';
const OLDEST_KERNEL = '5.4';
/** Docker 24 is the first with API 1.43, which tells all that a copy needs. */
const OLDEST_DOCKER = '24.0';
/** From 6.16 on, the kernel answers socket questions in a way that CRIU understands since 4.2 (criu: "Can't get 1:16 opt"). */
const KERNEL_OF_CRIU_4_2 = '6.16';

export interface Needs {
  /** As `uname -m` says it: what the program's node was made for. */
  arch: string;
  /** Bytes that the program takes. */
  programBytes: number;
}

/** Those that block first; none for a host that is fit. */
export function requirements(host: Probe, needs: Needs): Finding[] {
  const findings = [
    root(host),
    system(host, needs),
    kernel(host),
    criu(host),
    docker(host),
    ...tools(host),
    disk(host, needs),
  ];
  return findings.flatMap((finding) => (finding === null ? [] : [finding]));
}

function root({ uid }: Probe): Finding | null {
  if (uid === 0) return null;
  return blocks('NOT_ROOT', 'You are not root there.', {
    meaning: 'Dumping and restoring processes, and the agent, need root.',
    remedy: 'Use root@HOST, or, on the host itself, sudo drayage setup.',
  });
}

function system({ system: name, arch }: Probe, needs: Needs): Finding | null {
  if (name !== 'Linux') {
    return blocks('NOT_LINUX', `It runs ${name || 'an unknown system'}.`, {
      meaning: 'CRIU is there for Linux only.',
      remedy: 'Take a host that runs Linux.',
    });
  }
  if (arch === needs.arch) return null;
  return blocks('OTHER_ARCH', `Its processor is ${arch}, this one is ${needs.arch}.`, {
    meaning: "Memory of one kind of processor means nothing to another, and this host's Node.js does not run there.",
    remedy: `Add it from a host that is ${arch}, or install drayage there by npm and run drayage setup.`,
  });
}

function kernel({ kernel: release }: Probe): Finding | null {
  if (atLeast(release, OLDEST_KERNEL)) return null;
  return blocks('KERNEL_TOO_OLD', `Its kernel is ${release}; ${OLDEST_KERNEL} or newer is needed.`, {
    meaning: 'CRIU needs to choose process ids by clone3, which older kernels do not have.',
    remedy: 'Boot a newer kernel.',
  });
}

function criu(host: Probe): Finding | null {
  const needed = atLeast(host.kernel, KERNEL_OF_CRIU_4_2) ? '4.2' : OLDEST_CRIU;
  const remedy = howToGetCriu(host.distribution, needed);
  if (host.criu === null) {
    return blocks('CRIU_ABSENT', 'CRIU is not installed.', {
      meaning: 'It is what dumps and restores processes.',
      remedy,
    });
  }
  const { version, check } = host.criu;
  if (!atLeast(version, needed)) {
    const why = needed === OLDEST_CRIU ? '' : ` with kernel ${host.kernel}`;
    return blocks('CRIU_TOO_OLD', `CRIU is ${version}; ${needed} or newer is needed${why}.`, {
      meaning: 'Older ones cannot dump or restore what drayage moves.',
      remedy,
    });
  }
  if (check === 'ok' || host.uid !== 0) return null;
  return blocks('CRIU_CHECK', `"criu check" fails: ${check}`, {
    meaning: 'The kernel lacks something that CRIU needs, or the host is itself a container that may not do it.',
    remedy: 'Run "criu check -v4" there: it names what is missing.',
  });
}

function docker({ docker: engine }: Probe): Finding | null {
  const meaning = 'Docker is what keeps the workloads that drayage moves.';
  if (engine === null) {
    return blocks('DOCKER_ABSENT', 'Docker is not installed.', {
      meaning,
      remedy: 'Install Docker Engine, for instance by apt-get install docker.io.',
    });
  }
  if (engine.version !== '' && !atLeast(engine.version, OLDEST_DOCKER)) {
    return blocks('DOCKER_TOO_OLD', `Docker is ${engine.version}; ${OLDEST_DOCKER} or newer is needed.`, {
      meaning: 'Older ones do not tell all that a copy of a container needs.',
      remedy: 'Upgrade Docker Engine.',
    });
  }
  if (engine.running) return null;
  return blocks('DOCKER_DOWN', 'Docker is installed, but /var/run/docker.sock is not there.', {
    meaning,
    remedy: 'Start it, for instance by systemctl start docker.',
  });
}

function tools({ tools: present, distribution }: Probe): (Finding | null)[] {
  const install = (name: string) => `Install it: ${installCommand(distribution, name)}`;
  const need = (name: string, meaning: string, packageName = name) =>
    present.has(name)
      ? null
      : blocks(`${name.toUpperCase()}_ABSENT`, `${name} is not installed.`, { meaning, remedy: install(packageName) });
  return [
    need('runc', 'drayage restores containers by runc; other runtimes are not supported yet.'),
    need('rsync', 'Writable layers and volumes are carried by it.'),
    need('sha256sum', 'It tells whether what was sent arrived whole.'),
    need('nft', "It holds a workload's packets while it moves, and forwards them afterwards.", 'nftables'),
  ];
}

function disk({ diskFree }: Probe, { programBytes }: Needs): Finding | null {
  // While a new version comes in, the old one is still there.
  if (Number.isNaN(diskFree) || diskFree >= programBytes * 1.1) return null;
  const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  return blocks('DISK_FULL', `/usr/local has ${mb(diskFree)} free; ${mb(programBytes)} are needed.`, {
    meaning: 'The program, with a Node.js of its own, does not fit.',
    remedy: 'Make room, then repeat the command.',
  });
}

function howToGetCriu({ id, version, like }: Probe['distribution'], needed: string): string {
  const family = `${id} ${like}`;
  if (id === 'ubuntu') return 'add-apt-repository -y ppa:criu/ppa && apt-get update && apt-get install -y criu';
  if (id === 'debian' && Number(version) >= 13 && needed === OLDEST_CRIU) return 'apt-get install -y criu';
  if (/debian/.test(family)) {
    return `This release has no CRIU ${needed}: add Debian sid as a source with a low pin, then apt-get install -y criu/sid; or take the build of devel:tools:criu in openSUSE's build service.`;
  }
  if (/fedora|rhel|centos/.test(family)) return `dnf install -y criu (it must be ${needed} or newer)`;
  if (/suse/.test(family)) return `zypper install -y criu (it must be ${needed} or newer)`;
  if (/arch/.test(family)) return 'pacman -S criu';
  return `Install CRIU ${needed} or newer; criu.org/Installation says how to build it.`;
}

function installCommand({ id, like }: Probe['distribution'], name: string): string {
  const family = `${id} ${like}`;
  const of = name === 'sha256sum' ? 'coreutils' : name;
  if (/debian|ubuntu/.test(family)) return `apt-get install -y ${of}`;
  if (/fedora|rhel|centos/.test(family)) return `dnf install -y ${of}`;
  if (/suse/.test(family)) return `zypper install -y ${of}`;
  if (/arch/.test(family)) return `pacman -S ${of}`;
  return `by your distribution's package manager, package ${of}.`;
}

/** By the numbers that both begin with: `6.18.44-fc` is at least `6.16`; false where there are none. */
export function atLeast(version: string, oldest: string): boolean {
  const numbers = (text: string) => /^\d+(\.\d+)*/.exec(text)?.[0].split('.').map(Number);
  const [a, b] = [numbers(version), numbers(oldest)];
  if (a === undefined || b === undefined) return false;
  for (let i = 0; i < b.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function blocks(code: string, message: string, rest: { meaning: string; remedy: string }): Finding {
  return { code, severity: 'blocks', message, ...rest };
}
