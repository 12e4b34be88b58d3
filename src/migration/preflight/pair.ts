/** Whether what ran on the source can run on the target. */

import { RUNTIME } from '../../engines/docker/clone.ts';
import type { Finding } from '../finding.ts';
import type { Case } from './case.ts';
import { instructionSets } from './cpu.ts';
import { type Entry, raising } from './finding-table.ts';
import { compareVersions, release } from './versions.ts';

export function checkPair(c: Case): Finding[] {
  return [
    ...drayageFindings(c),
    ...processorFindings(c),
    ...kernelFindings(c),
    ...criuFindings(c),
    ...cgroupFindings(c),
    ...securityFindings(c),
    ...sysctlFindings(c),
    ...clockFindings(c),
    ...daemonFindings(c),
  ];
}

export const PAIR_FINDINGS = {
  RUNTIME_MISSING: {
    severity: 'blocks',
    meaning: "A restore goes through drayage's runtime, which Docker on the target must know.",
    remedy: 'Run drayage setup on the target.',
  },
  DRAYAGE_DIFFERS: {
    severity: 'blocks',
    meaning: 'Agents of different versions may not understand each other in the middle of a move.',
    remedy: 'Bring both hosts to the same version.',
  },
  ARCH_DIFFERS: {
    severity: 'blocks',
    meaning: 'Memory holds machine code and registers of its own kind of processor.',
    remedy: 'Choose a target of the same architecture.',
  },
  CPU_FLAGS_MISSING: {
    severity: 'blocks',
    meaning:
      'Programs ask for instruction sets once, when they start, and would die of the first instruction that is missing.',
    remedy: 'Choose a target with the same or a newer processor; give virtual machines a common CPU model.',
  },
  CPU_FLAGS_DIFFER: {
    severity: 'note',
    meaning: 'They concern the kernel or speed; programs as a rule do not depend on them.',
    remedy: 'Nothing is to be done.',
  },
  KERNEL_OLDER: {
    severity: 'costs',
    meaning:
      'What a program found in the newer kernel may be missing in the older one; most programs do not notice. If the restore fails, the source goes on.',
    remedy: 'Bring the target to the same kernel if you can.',
  },
  CRIU_OLDER_ON_TARGET: {
    severity: 'blocks',
    meaning: 'An older CRIU need not understand the images of a newer one.',
    remedy: 'Install the same CRIU or a newer one on the target.',
  },
  CGROUP_VERSION_DIFFERS: {
    severity: 'blocks',
    meaning: 'Control groups are part of what CRIU saves, and those of one version cannot be made from the other.',
    remedy: 'Boot both hosts with the same version (systemd.unified_cgroup_hierarchy).',
  },
  CGROUP_DRIVER_DIFFERS: {
    severity: 'note',
    meaning:
      'Docker places the control groups of the copy elsewhere than on the source. If the restore fails, the source goes on.',
    remedy: 'Give both daemons the same native.cgroupdriver if the restore fails.',
  },
  SECURITY_MODULE_MISSING: {
    severity: 'blocks',
    meaning: 'The processes are confined by a profile which CRIU cannot give back without that module.',
    remedy:
      'Turn the module on on the target, or create the container again with --security-opt apparmor=unconfined or label=disable.',
  },
  SECURITY_MODULE_ADDED: {
    severity: 'costs',
    meaning:
      'The processes were not confined on the source, and the moved ones are not either until the container is restarted.',
    remedy: 'Restart the container on the target when it suits you.',
  },
  PIDS_TOO_HIGH: {
    severity: 'blocks',
    meaning: 'Processes keep their numbers inside the container, and the target gives out none so high.',
    remedy: 'Raise kernel.pid_max on the target.',
  },
  SYSCTL_LOWER: {
    severity: 'note',
    meaning: 'What the workload holds already stays; it may meet the lower limit later.',
    remedy: 'Set it on the target as on the source (sysctl -w) if the workload leans on it.',
  },
  CLOCK_SKEW: {
    severity: 'note',
    meaning: 'To the moved programs the time of day jumps; timers and timeouts are not concerned.',
    remedy: 'Synchronise both clocks (chrony, systemd-timesyncd).',
  },
  LIVE_RESTORE_OFF: {
    severity: 'note',
    meaning: 'A restart of the Docker daemon ends its containers, and also a move that is under way.',
    remedy:
      'Set "live-restore": true in /etc/docker/daemon.json and reload the daemon, if you restart it now and then.',
  },
} as const satisfies Record<string, Entry>;

const raise = raising(PAIR_FINDINGS);

function drayageFindings({ source, target }: Case): Finding[] {
  const remedy = `Run drayage host add root@${target.hostname} from here, or drayage setup there.`;
  const runtime = target.docker === null || target.docker.runtimes.includes(RUNTIME);
  return [
    ...(runtime
      ? []
      : [raise('RUNTIME_MISSING', `Docker on ${target.hostname} does not know the runtime ${RUNTIME}.`, { remedy })]),
    ...(source.drayage === target.drayage
      ? []
      : [
          raise(
            'DRAYAGE_DIFFERS',
            `${source.hostname} has drayage ${source.drayage}, ${target.hostname} has ${target.drayage}.`,
            { remedy },
          ),
        ]),
  ];
}

function processorFindings({ source, target }: Case): Finding[] {
  if (source.arch !== target.arch) {
    return [raise('ARCH_DIFFERS', `${source.hostname} is ${source.arch}, ${target.hostname} is ${target.arch}.`)];
  }
  const there = new Set(target.cpuFlags);
  const missing = source.cpuFlags.filter((flag) => !there.has(flag));
  const needed = instructionSets(source.arch, missing);
  const others = missing.filter((flag) => !needed.includes(flag));
  return [
    ...(needed.length > 0
      ? [raise('CPU_FLAGS_MISSING', `The processor of ${target.hostname} lacks ${needed.join(', ')}.`)]
      : []),
    ...(others.length > 0
      ? [raise('CPU_FLAGS_DIFFER', `The processor of ${target.hostname} does not show ${others.join(', ')}.`)]
      : []),
  ];
}

function kernelFindings({ source, target }: Case): Finding[] {
  if (compareVersions(release(target.kernel), release(source.kernel)) >= 0) return [];
  return [
    raise('KERNEL_OLDER', `${target.hostname} has Linux ${target.kernel}, ${source.hostname} has ${source.kernel}.`),
  ];
}

function criuFindings({ source, target }: Case): Finding[] {
  if (source.criu === null || target.criu === null) return [];
  if (compareVersions(target.criu.version, source.criu.version) >= 0) return [];
  const versions = `${target.hostname} has CRIU ${target.criu.version}, ${source.hostname} has ${source.criu.version}.`;
  return [raise('CRIU_OLDER_ON_TARGET', versions)];
}

function cgroupFindings({ source, target }: Case): Finding[] {
  if (source.cgroup !== target.cgroup) {
    const versions = `${source.hostname} uses cgroup version ${source.cgroup}, ${target.hostname} version ${target.cgroup}.`;
    return [raise('CGROUP_VERSION_DIFFERS', versions)];
  }
  const [here, there] = [source.docker?.cgroupDriver, target.docker?.cgroupDriver];
  if (here === undefined || there === undefined || here === there) return [];
  return [
    raise(
      'CGROUP_DRIVER_DIFFERS',
      `Docker uses the cgroup driver ${here} on ${source.hostname}, ${there} on ${target.hostname}.`,
    ),
  ];
}

function securityFindings({ source, target, name, container }: Case): Finding[] {
  if (source.docker === null || target.docker === null) return [];
  const [here, there] = [source.docker.security, target.docker.security];
  return (['apparmor', 'selinux'] as const).flatMap((module) => {
    const onSource = here.some((option) => option.split(',').includes(`name=${module}`));
    const onTarget = there.some((option) => option.split(',').includes(`name=${module}`));
    const unconfined = module === 'apparmor' && ['', 'unconfined'].includes(container.appArmorProfile);
    if (onSource && !onTarget && !unconfined) {
      return [
        raise('SECURITY_MODULE_MISSING', `${name} is confined by ${module}, which ${target.hostname} does not have.`),
      ];
    }
    if (!onSource && onTarget) {
      return [raise('SECURITY_MODULE_ADDED', `${target.hostname} has ${module}, ${source.hostname} has not.`)];
    }
    return [];
  });
}

/** Where less on the target may be felt; limits that follow the size of the machine are left out. */
const LIMITS = ['fs.inotify.max_user_instances', 'fs.nr_open', 'vm.max_map_count'] as const;

function sysctlFindings({ workload, source, target, name }: Case): Finding[] {
  const value = (host: Case['source'], key: string): number => Number(host.sysctls[key] ?? Number.NaN);
  const highest = Math.max(0, ...workload.processes.map(({ innerPid }) => innerPid));
  const lower = LIMITS.filter((key) => value(target, key) < value(source, key));
  const strict = value(target, 'vm.overcommit_memory') === 2 && value(source, 'vm.overcommit_memory') !== 2;
  return [
    ...(highest >= value(target, 'kernel.pid_max')
      ? [
          raise(
            'PIDS_TOO_HIGH',
            `${name} has process ${highest}, and kernel.pid_max of ${target.hostname} is ${target.sysctls['kernel.pid_max']}.`,
          ),
        ]
      : []),
    ...lower.map((key) =>
      raise(
        'SYSCTL_LOWER',
        `${key} is ${target.sysctls[key]} on ${target.hostname}, ${source.sysctls[key]} on ${source.hostname}.`,
      ),
    ),
    ...(strict
      ? [
          raise(
            'SYSCTL_LOWER',
            `vm.overcommit_memory is 2 on ${target.hostname}: memory that is asked for must be there.`,
          ),
        ]
      : []),
  ];
}

/** Milliseconds; less is not worth a word, and the two surveys do not begin at the same instant. */
const SKEW = 1000;

function clockFindings({ source, target }: Case): Finding[] {
  const skew = target.time - source.time;
  if (Math.abs(skew) <= SKEW) return [];
  const seconds = (Math.abs(skew) / 1000).toFixed(1);
  return [
    raise(
      'CLOCK_SKEW',
      `The clock of ${target.hostname} is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} that of ${source.hostname}.`,
    ),
  ];
}

function daemonFindings({ source, target }: Case): Finding[] {
  const off = [source, target].filter(({ docker }) => docker?.liveRestore === false).map(({ hostname }) => hostname);
  return off.length === 0 ? [] : [raise('LIVE_RESTORE_OFF', `Docker's live-restore is off on ${off.join(' and ')}.`)];
}
