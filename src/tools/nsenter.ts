/** nsenter of util-linux: programs of this host in the network namespace of one of its processes. */
import type { Run } from '../exec/run.ts';

/** Files of /proc/sys/net are those of the namespace, too: the kernel goes by who opens them. */
export function inNetworkOf(pid: number, run: Run): Run {
  return (program, args, options) => run('nsenter', ['--target', String(pid), '--net', program, ...args], options);
}
