/** tc of iproute2: a queue that can be shut and opened (`tbf`), and packets handed over to another device (`mirred`). */
import type { Run } from '../exec/run.ts';

/** One line of a batch: words without blanks. */
export type TcCommand = readonly string[];

/** Bytes that a shut queue keeps; what comes beyond is dropped. */
const HELD_BYTES = 64 << 20;

/**
 * A queue that lets nothing through. The rate is the lowest there is, a byte per second; the bucket must hold the
 * largest packet, or that would be dropped at once, and is full to begin with: its owner has to send what leaks back.
 */
export function shutQueue(device: string): TcCommand {
  return ['qdisc', 'replace', 'dev', device, 'root', ...tbf('8bit', 70_000)];
}

/** Lets all through; the kernel looks at the queue again only when the next packet comes. */
export function openQueue(device: string): TcCommand {
  return ['qdisc', 'change', 'dev', device, 'root', ...tbf('100gbit', 1 << 20)];
}

function tbf(rate: string, burst: number): string[] {
  return ['tbf', 'rate', rate, 'burst', String(burst), 'limit', String(HELD_BYTES)];
}

/** Makes a device take filters for what it receives and sends. */
export function takeFilters(device: string): TcCommand {
  return ['qdisc', 'replace', 'dev', device, 'clsact'];
}

/**
 * Everything that `from` receives: as if `to` had received it (`ingress`), or sent by `to` (`egress`).
 * By u32, which is everywhere; matchall, flower and skbedit are not.
 */
export function handOver(from: string, to: string, direction: 'ingress' | 'egress'): TcCommand {
  return [
    'filter',
    'replace',
    ...only(from),
    'u32',
    'match',
    'u32',
    '0',
    '0',
    'action',
    'mirred',
    direction,
    'redirect',
    'dev',
    to,
  ];
}

/** What `device` receives goes its ordinary way again. */
export function keepHere(device: string): TcCommand {
  return ['filter', 'delete', ...only(device), 'u32'];
}

/** The one filter of a device; known by its handle, it is replaced in one step. */
function only(device: string): string[] {
  return ['dev', device, 'ingress', 'protocol', 'all', 'prio', '1', 'handle', '800::800'];
}

/** @throws ProgramError where a command fails; those after it are not carried out. */
export async function applyTc(run: Run, commands: readonly TcCommand[]): Promise<void> {
  if (commands.length === 0) return;
  await run('tc', ['-batch', '-'], { input: batch(commands), timeoutMs: 20_000 });
}

export interface QueueState {
  /** Packets that wait. */
  waiting: number;
  dropped: number;
  passed: number;
}

/** The root queue of a device; null where there is none. */
export async function queueState(run: Run, device: string): Promise<QueueState | null> {
  const { stdout, code } = await run('tc', ['-json', '-statistics', 'qdisc', 'show', 'dev', device], {
    timeoutMs: 20_000,
    okCodes: [0, 1],
  });
  return code === 0 ? parseQueue(stdout) : null;
}

/** `[{"kind":"tbf","root":true,"packets":3,"drops":0,"qlen":2,…}]` */
export function parseQueue(text: string): QueueState | null {
  const queues = JSON.parse(text) as {
    kind: string;
    root?: boolean;
    packets?: number;
    drops?: number;
    qlen?: number;
  }[];
  const root = queues.find((queue) => queue.root === true);
  if (root === undefined) return null;
  return { waiting: root.qlen ?? 0, dropped: root.drops ?? 0, passed: root.packets ?? 0 };
}

export function batch(commands: readonly (readonly string[])[]): string {
  return commands.map((words) => `${words.join(' ')}\n`).join('');
}
