/**
 * What CRIU's error lines mean. The texts are those of CRIU 3.17 to 4.2 (`pr_err` and `pr_perror` in criu/*.c); most were
 * provoked with CRIU 4.2.1 and a real container.
 */

export interface Explanation {
  meaning: string;
  remedy: string;
}

/** What an error line of CRIU means and what to do about it; unknown ones get a general answer. */
export function explain(errorLine: string): Explanation {
  const entry = TABLE.find(([pattern]) => pattern.test(errorLine));
  return entry?.[1] ?? UNKNOWN;
}

const UNKNOWN: Explanation = {
  meaning: 'CRIU gave up at this point; the line is its own first error.',
  remedy:
    'Look for the line in the issues of CRIU (github.com/checkpoint-restore/criu), and report it to drayage, so that preflight can tell beforehand.',
};

/** The first that matches counts. */
const TABLE: readonly (readonly [RegExp, Explanation])[] = [
  // Sockets
  [
    /Unsupported proto 262\b|multipathtcp=0/,
    {
      meaning:
        'A process uses a Multipath TCP socket, which CRIU cannot dump. Programs built with Go 1.24 or newer listen so by default.',
      remedy:
        'Start the program with GODEBUG=multipathtcp=0 in its environment, or turn MPTCP off: sysctl net.mptcp.enabled=0 in its network namespace.',
    },
  ],
  [
    /Unsupported proto \d+ for socket|Unknown socket collected|Unsupported socket (family|type)|Can't dump \d+ inet socket/,
    {
      meaning: 'A process has a socket of a kind that CRIU cannot dump (SCTP, vsock, XDP and others).',
      remedy: 'Close it before the move, or move the workload by stopping it here and starting it there.',
    },
  ],
  [
    /Connected TCP socket, consider using|Connected TCP socket in image/,
    {
      meaning: 'A connection was opened after preflight had looked.',
      remedy: 'Try again at a quieter moment, or give --drop-connections if clients can reconnect.',
    },
  ],
  [
    /In-flight connection/,
    {
      meaning: 'A client had connected whom the program had not accepted yet at the moment of the freeze.',
      remedy: 'Try again, or give --drop-connections if clients can reconnect.',
    },
  ],
  [
    /Can't get 1:(16|34)(\(34\))? opt/,
    {
      meaning:
        'This CRIU is older than 4.2 and does not know how sockets answer since Linux 6.16: it can dump no network socket here.',
      remedy: 'Install CRIU 4.2 or newer.',
    },
  ],
  [
    /External socket is used|Can't dump half of stream unix connection|Can't dump name-less external socket|with unreachable peer|Unix socket \d+ without peer/,
    {
      meaning:
        'A process holds a unix socket whose other end belongs to a process outside of the container, such as docker.sock or a log daemon. That end cannot move.',
      remedy: 'Let the program close that connection before the move, or run it without the mounted socket.',
    },
  ],
  [
    /Can't bind (inet socket|id \d+|socket)[^:]*.*: (Cannot assign requested address|Address not available)/,
    {
      meaning: 'A socket is bound to an address that the copy does not have on the target.',
      remedy:
        'Put the container on a user-defined network, where its address moves with it, or let the program listen on 0.0.0.0.',
    },
  ],
  [
    /Can't bind .*: Address already in use/,
    {
      meaning: 'A port or socket name that the workload uses is taken on the target.',
      remedy: 'Stop what uses it there, and try again.',
    },
  ],
  [
    /Diag module missing|Unable to (get|collect) .*diag|The current kernel doesn't support .*_diag/,
    {
      meaning: 'The kernel lacks the socket diagnosis that CRIU finds sockets by.',
      remedy:
        'Load the modules: modprobe -a inet_diag tcp_diag udp_diag unix_diag netlink_diag af_packet_diag raw_diag.',
    },
  ],
  [
    /TCP_REPAIR|libsoccr|Can't turn TCP repair mode/i,
    {
      meaning: 'The state of a TCP connection could not be taken or put back.',
      remedy: 'Try again; where it happens every time, give --drop-connections if clients can reconnect.',
    },
  ],
  // Descriptors
  [
    /send_fds failed|Can't retrieve FDs from socket/,
    {
      meaning:
        'A process has a descriptor that the kernel does not let out of it; with current kernels that is io_uring, which CRIU cannot dump.',
      remedy:
        'Turn io_uring off in the program (Node.js: UV_USE_IO_URING=0; MariaDB: innodb_use_native_aio=0), then restart it.',
    },
  ],
  [
    /Can't dump file \d+ of that type \[\d+\] \(anon .*io_uring/,
    {
      meaning: 'A process uses io_uring, which CRIU cannot dump.',
      remedy:
        'Turn io_uring off in the program (Node.js: UV_USE_IO_URING=0; MariaDB: innodb_use_native_aio=0), then restart it.',
    },
  ],
  [
    /Can't dump file \d+ of that type \[\d+\] \((chr|blk)/,
    {
      meaning:
        'A process has a device open (major and minor number stand in brackets) whose state lives in a driver, out of reach of CRIU.',
      remedy: 'Let the program close the device before the move, or run it without.',
    },
  ],
  [
    /Can't dump file \d+ of that type/,
    {
      meaning: 'A process has a descriptor of a kind that CRIU cannot dump.',
      remedy: 'Find out which (ls -l /proc/PID/fd) and let the program close it before the move.',
    },
  ],
  [
    /Can't dump ghost file .* increase limit/,
    {
      meaning:
        'A process still has a file open that was deleted, and that is larger than what CRIU copies into its images.',
      remedy: 'Let the program close it, for instance by rotating its logs or by a restart.',
    },
  ],
  [
    /Can't create link remap/,
    {
      meaning: 'A process has a file open whose name was removed while it still has others.',
      remedy: 'Let the program reopen the file.',
    },
  ],
  [
    /Can't dump that handle|Can't find suitable path for handle/,
    {
      meaning:
        'A process watches a file or directory (inotify) whose path CRIU cannot find: overlay file systems do not tell it, and it may have been deleted.',
      remedy: 'Let the program end its watch, or put what it watches on a volume.',
    },
  ],
  [
    /file locks are hold by dumping tasks|Can not set (flock|posix lock|ofd lock)|Unresolved lock found/,
    {
      meaning: 'A lock on a file could not be taken along.',
      remedy: 'Try again; where the file is on storage that both hosts share, let the program release the lock first.',
    },
  ],
  [
    /Can't lookup mount=|Open files on overmounted mounts|The path \[.*\] is not supported|Unaccessible path opened/,
    {
      meaning:
        'A process has a file open on a mount that the container does not see any more, or that it made for itself.',
      remedy: 'Undo mounts that were made inside the running container, or restart it.',
    },
  ],
  // Namespaces and relations of processes
  [
    /Can't dump nested (\w+ )?(pid|user|time)?.*namespace|Can't make (pid|user|time)ns id|Nested mount namespaces are not supported/,
    {
      meaning:
        'A process made a namespace of its own inside the container, as sandboxes of browsers and nested containers do.',
      remedy:
        'Run the program without its sandbox (Chromium: --no-sandbox), or move the outermost workload by restart.',
    },
  ],
  [
    /A session leader of .* is outside of its pid namespace|is not a session leader|session .*(outside|inheritance)/,
    {
      meaning: 'A process came into the container from outside (nsenter) and belongs to a session there.',
      remedy: 'End that process, and use docker exec instead of nsenter.',
    },
  ],
  [
    /found while seizing|Can't seize|SEIZE .*: |Unable to (seize|attach)|is already (being )?traced|ptrace\(PTRACE_SEIZE/i,
    {
      meaning: 'A process is traced by a debugger or another tool, and only one tracer can be.',
      remedy: 'End the debugger, strace or profiler, and try again.',
    },
  ],
  [
    /SysVIPC shmem map .* doesn't live in IPC ns/,
    {
      meaning: "A process uses System V shared memory of the host's or another container's.",
      remedy: 'Run the container with its own ipc namespace (--ipc private).',
    },
  ],
  [
    /Unable to freeze cgroup|freezer state|Timeout reached/,
    {
      meaning:
        'The processes did not freeze in time, as when one waits for a disk or a network file system that does not answer.',
      remedy: 'Look for processes in state D (ps -eo pid,stat,comm), and try again.',
    },
  ],
  // Files on the target
  [
    /File .* has bad (size|build-ID|mode)/,
    {
      meaning:
        'A file that a process has open or mapped differs on the target: it was changed between the last copy of files and the freeze, or comes from a mount that was not carried.',
      remedy: 'Try again; where the file is in a bind mount, give --carry-binds or make it the same on both hosts.',
    },
  ],
  [
    /Can't open file .*(No such file|on restore)|Can't open .* on restore/,
    {
      meaning: 'A file that a process has open is missing on the target.',
      remedy:
        'Where it is in a bind mount, give --carry-binds or put the file there; else report it: it should have been carried.',
    },
  ],
  [
    /mount.*(doesn't have a proper root|No mapping for)|No mapping for .* mountpoint|Can't (bind-)?mount at|Can't restore ext mount|No parent found for mountpoint|is autodetected external mount|FS mnt .* unsupported id|Unable to dump a file system/,
    {
      meaning: 'A mount inside the container could not be saved or made again.',
      remedy: 'Undo mounts that were made inside the running container; bind mounts must exist on both hosts.',
    },
  ],
  [
    /No space left on device/,
    {
      meaning: 'There was no room for the images of the memory.',
      remedy: 'Free memory (images are kept in tmpfs) or disk on that host, and try again.',
    },
  ],
  // The machine
  [
    /CPU (instruction )?capabilities do not match|xsave|fxsave|FPU|xfeatures/,
    {
      meaning: 'The processor of the target lacks what the workload was using on the source.',
      remedy: 'Move to a host with the same or a newer processor; virtual machines can be given a common CPU model.',
    },
  ],
  [
    /mismatched lsm types|can't render profile|LSM specified but|lsm profile|aa_(change|policy)|apparmor/i,
    {
      meaning: 'The workload runs under an AppArmor or SELinux profile that the target does not have.',
      remedy:
        'Turn the same security module on there and load the profile, or run the container with --security-opt apparmor=unconfined.',
    },
  ],
  [
    /seccomp/,
    {
      meaning: 'The seccomp filters of the workload could not be saved or put back.',
      remedy: 'Compare kernel and CRIU of both hosts; the target should not be older.',
    },
  ],
  [
    /Can't fork for \d+: File exists|Pid \d+ do not match expected|Unable to set ns_last_pid/,
    {
      meaning: 'A process number of the workload is taken on the target.',
      remedy: 'Run the container with its own pid namespace, as it has by default.',
    },
  ],
  [
    /Can't fork for|Cannot allocate memory|Not enough memory/,
    {
      meaning: 'The target ran out of memory or processes while it restored.',
      remedy: "Free memory there or raise the container's limits, and try again.",
    },
  ],
  [
    /iptables|ip6tables|nft(ables)?\b|Network (un)?lock/i,
    {
      meaning: 'CRIU could not hold the traffic of the container: it needs iptables or nftables.',
      remedy: 'Install iptables (or a CRIU built with nftables) on that host.',
    },
  ],
  [
    /cgroup|cgyard|Can't move .* into/i,
    {
      meaning: 'The control groups of the container could not be saved or made again.',
      remedy: 'Compare the cgroup version and driver of both hosts (docker info).',
    },
  ],
  [
    /Aborting restore due to post-restore script/,
    {
      meaning: 'drayage itself called the restore off, after everything had been restored: the migration was undone.',
      remedy: 'See the reason of the undo above this one.',
    },
  ],
  [
    /killed by signal \d+|exited, status=/,
    {
      meaning:
        'A process of the copy died while it was being restored; why is in the lines before, or in the kernel log.',
      remedy: 'Look into dmesg on the target, and compare kernel and CRIU of both hosts.',
    },
  ],
  [
    /Operation not permitted|Permission denied|requires? root|CAP_/,
    {
      meaning: 'CRIU lacks a privilege.',
      remedy: 'Run the agent as root, and not inside a container or another sandbox.',
    },
  ],
  [
    /Magic doesn't match|image file was truncated|Unexpected EOF|Can't read .* image|Failed to parse|corrupt/i,
    {
      meaning: 'The images of the memory are damaged or were written by a CRIU that this one does not understand.',
      remedy: 'Use the same version of CRIU on both hosts, or a newer one on the target.',
    },
  ],
];
