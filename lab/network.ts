/**
 * The network of a lab: a switch that is a network namespace of its own, so that neither this machine's packet filter
 * nor a Docker of its own has a say between lab hosts, with one port per host and one to this machine.
 *
 *   host a eth0 ── a ┐
 *                    ├ bridge "lan", namespace of the switch ── machine ── dlab<k> 10.77.k.254 in this machine
 *   host b eth0 ── b ┘
 */
import { existsSync, readlinkSync } from 'node:fs';
import { DrayageError } from '../src/errors.ts';
import { type Run, startDetached } from '../src/exec/run.ts';
import { hostAddress, machineAddress, uplinkName } from './address.ts';
import { poll } from './poll.ts';

/** Which of a host's packets are lost: those it is sent, those it sends. */
export type CutDirection = 'in' | 'out' | 'both';

/** Starts the switch and resolves to the process that holds it; the network ends with that process. */
export async function startSwitch(run: Run, k: number, logFd: number, env: Record<string, string>): Promise<number> {
  const pid = startDetached('unshare', ['--net', 'sleep', 'infinity'], logFd, env);
  const own = readlinkSync('/proc/self/ns/net');
  const apart = await poll(() => (networkOf(pid) !== own ? true : undefined), { everyMs: 2, timeoutMs: 5000 });
  if (pid === undefined || apart === undefined) throw new DrayageError('LAB_BOOT_FAILED', 'No network namespace.');
  const uplink = uplinkName(k);
  // A bridge changes its address to the lowest of its ports' unless given one; then neighbours would have a stale one.
  await ip(run, pid, [
    'link add name lan address 02:77:00:00:00:fe type bridge',
    'link set dev lan up',
    `link add name machine type veth peer name ${uplink} netns ${process.pid}`,
    'link set dev machine master lan up',
  ]);
  // Bridged packets are not to be seen by iptables where br_netfilter is loaded.
  await inNetwork(
    run,
    pid,
    'sh',
    ['-c', 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > "$f"; done'],
    [0, 1, 2],
  );
  await inNetwork(run, pid, 'nft', ['-f', '-'], [0], CUT_TABLE);
  await run('ip', ['-batch', '-'], {
    input: [`addr add ${machineAddress(k)}/24 dev ${uplink}`, `link set dev ${uplink} addrgenmode none up`].join('\n'),
  });
  await run('nft', ['-f', '-'], { input: machineTable(k) });
  return pid;
}

export interface Plug {
  switchPid: number;
  k: number;
  /** The host's name, which is also that of its port. */
  host: string;
  n: number;
  hostPid: number;
  rate: string | undefined;
}

/** Gives a host its `eth0`, address and link to the switch. */
export async function plugIn(run: Run, { switchPid, k, host, n, hostPid, rate }: Plug): Promise<void> {
  // Of a host that was restarted the old port may be there yet: a network namespace ends some time after its processes.
  await inNetwork(run, switchPid, 'ip', ['link', 'delete', port(host)], [0, 1]);
  await ip(run, switchPid, [
    `link add name ${port(host)} type veth peer name eth0 netns ${hostPid}`,
    `link set dev ${port(host)} master lan up`,
  ]);
  await ip(run, hostPid, [
    'link set dev lo up',
    // The same each time, as a real card has it: neighbours remember it when the host is restarted.
    `link set dev eth0 address 02:77:00:00:00:${n.toString(16).padStart(2, '0')}`,
    `addr add ${hostAddress(k, n)}/24 dev eth0`,
    'link set dev eth0 up',
  ]);
  if (rate === undefined) return;
  await inNetwork(run, hostPid, 'tc', tokenBucket('eth0', rate));
  await inNetwork(run, switchPid, 'tc', tokenBucket(port(host), rate));
}

/** Loses a host's packets in the switch: the host sees a good link and hears nothing. */
export async function cut(run: Run, switchPid: number, host: string, direction: CutDirection): Promise<void> {
  for (const set of setsOf(direction)) await nftElement(run, switchPid, 'add', set, host);
}

export async function restore(run: Run, switchPid: number, host: string): Promise<void> {
  // Deleting what is not there is an error; adding what is there is none.
  await cut(run, switchPid, host, 'both');
  for (const set of setsOf('both')) await nftElement(run, switchPid, 'delete', set, host);
}

/** Takes away what does not end with a switch: the tables in this machine's own packet filter of labs that are gone. */
export async function removeMachineTables(run: Run): Promise<void> {
  const { stdout } = await run('nft', ['list', 'tables', 'inet']);
  for (const [, k] of stdout.matchAll(new RegExp(`\\b${tableName('(\\d+)')}\\b`, 'g'))) {
    // A lab that is starting has its interface before its table.
    if (existsSync(`/sys/class/net/${uplinkName(Number(k))}`)) continue;
    await run('nft', ['delete', 'table', 'inet', tableName(Number(k))], { okCodes: [0, 1] });
  }
}

function tableName(k: number | string): string {
  return `drayage_lab_${k}`;
}

/** Whatever this machine forwards for others, it forwards nothing for a lab; and a lab may talk to the one address. */
function machineTable(k: number): string {
  const [table, uplink] = [tableName(k), uplinkName(k)];
  return `
    table inet ${table}
    delete table inet ${table}
    table inet ${table} {
      chain forward {
        type filter hook forward priority -10
        iifname "${uplink}" drop
        oifname "${uplink}" drop
      }
      chain input {
        type filter hook input priority -10
        iifname "${uplink}" ip daddr != ${machineAddress(k)} drop
        iifname "${uplink}" meta nfproto ipv6 drop
      }
    }`;
}

const CUT_TABLE = `
  table bridge lab {
    set from { type ifname; }
    set to { type ifname; }
    chain entering { type filter hook prerouting priority -300; iifname @from drop; }
    chain leaving { type filter hook postrouting priority 300; oifname @to drop; }
  }`;

type CutSet = 'from' | 'to';

function setsOf(direction: CutDirection): CutSet[] {
  switch (direction) {
    case 'in':
      return ['to'];
    case 'out':
      return ['from'];
    case 'both':
      return ['from', 'to'];
    default:
      return direction satisfies never;
  }
}

async function nftElement(run: Run, pid: number, verb: 'add' | 'delete', set: CutSet, host: string): Promise<void> {
  await inNetwork(run, pid, 'nft', [verb, 'element', 'bridge', 'lab', set, `{ "${port(host)}" }`]);
}

/** The switch has interfaces of its own, lo, lan and machine, whose names a host may have too. */
function port(host: string): string {
  return `p-${host}`;
}

/** A burst of 4 ms at full rate: a shaper is woken by the timer tick, and with less it cannot keep up. */
function tokenBucket(device: string, rate: string): string[] {
  return ['qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', rate, 'burst', '512kb', 'latency', '50ms'];
}

function ip(run: Run, pid: number, lines: readonly string[]): Promise<unknown> {
  return run('nsenter', ['-t', String(pid), '-n', 'ip', '-batch', '-'], { input: lines.join('\n') });
}

function inNetwork(
  run: Run,
  pid: number,
  program: string,
  args: readonly string[],
  okCodes: readonly number[] = [0],
  input = '',
): Promise<unknown> {
  return run('nsenter', ['-t', String(pid), '-n', program, ...args], { okCodes, input });
}

function networkOf(pid: number | undefined): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
