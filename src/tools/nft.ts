/** nft of nftables: rule sets go in whole, as one transaction, through standard input. */
import { ProgramError, type Run } from '../exec/run.ts';

export type NftFamily = 'netdev' | 'inet' | 'ip' | 'ip6';

export interface NftTable {
  family: NftFamily;
  name: string;
  /** Counters, sets and maps, ready for the table's body. */
  objects: readonly string[];
  chains: readonly NftChain[];
}

export interface NftChain {
  name: string;
  /** Absent for a chain that is only jumped to. */
  hook?: NftHook;
  rules: readonly string[];
}

interface NftHook {
  type: 'filter' | 'nat' | 'route';
  hook: 'ingress' | 'egress' | 'prerouting' | 'input' | 'output';
  priority: number;
  /** Of the family netdev; a chain without any is left out. */
  devices?: readonly string[];
}

/** The commands that put a table in place, instead of one of that name where there is one: all or nothing. */
export function replaceTable(table: NftTable): string {
  const chains = table.chains.filter(({ hook }) => hook?.devices === undefined || hook.devices.length > 0);
  return [
    removeTable(table),
    `table ${table.family} ${table.name} {`,
    ...table.objects.map((object) => `  ${object}`),
    // Jumps forward need chains that are there: those with hooks, which jump, stand last.
    ...[...chains].sort((a, b) => Number(a.hook !== undefined) - Number(b.hook !== undefined)).flatMap(chainText),
    '}',
    '',
  ].join('\n');
}

/** The commands that remove a table; no error where there is none. */
export function removeTable({ family, name }: Pick<NftTable, 'family' | 'name'>): string {
  return `add table ${family} ${name}\ndelete table ${family} ${name}`;
}

function chainText({ name, hook, rules }: NftChain): string[] {
  const devices = hook?.devices === undefined ? '' : ` devices = { ${hook.devices.map(quote).join(', ')} }`;
  return [
    `  chain ${name} {`,
    ...(hook === undefined
      ? []
      : [`    type ${hook.type} hook ${hook.hook}${devices} priority ${hook.priority}; policy accept;`]),
    ...rules.map((rule) => `    ${rule}`),
    '  }',
  ];
}

/** Device names may be what nft takes for a number or a keyword. */
export function quote(name: string): string {
  return `"${name}"`;
}

export interface NftCounter {
  name: string;
  packets: number;
  bytes: number;
}

const TIMEOUT_MS = 20_000;

/** Carries out a script in one transaction. @throws ProgramError where the kernel or nft refuses it; nothing is changed then. */
export async function applyNft(run: Run, script: string, signal?: AbortSignal): Promise<void> {
  await run('nft', ['-f', '-'], { input: `${script}\n`, timeoutMs: TIMEOUT_MS, ...(signal && { signal }) });
}

/** Whether the kernel would take a script, by having it looked at and not carried out; the reason where it would not. */
export async function refusalOf(run: Run, script: string): Promise<string | null> {
  try {
    await run('nft', ['--check', '-f', '-'], { input: `${script}\n`, timeoutMs: TIMEOUT_MS });
    return null;
  } catch (error) {
    if (error instanceof ProgramError) return error.stderr.trim().split('\n')[0] || error.message;
    throw error;
  }
}

/** `1.0.6`; null where nft is not there. */
export async function nftVersion(run: Run): Promise<string | null> {
  try {
    const { stdout } = await run('nft', ['--version'], { timeoutMs: TIMEOUT_MS });
    return parseNftVersion(stdout);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    return error.exitCode === null ? null : 'unknown';
  }
}

/** `nftables v1.0.6 (Lester Gooch #5)` */
export function parseNftVersion(text: string): string {
  return /\bv(\d+(?:\.\d+)*)/.exec(text)?.[1] ?? 'unknown';
}

/** Whether any rule or hook of the netdev family names a device. */
export async function namesDevice(run: Run, device: string): Promise<boolean> {
  const { stdout } = await run('nft', ['--terse', 'list', 'ruleset', 'netdev'], { timeoutMs: TIMEOUT_MS });
  return stdout.includes(device);
}

/** The tables of this network namespace. */
export async function listTables(run: Run): Promise<{ family: string; name: string }[]> {
  const { stdout } = await run('nft', ['--json', 'list', 'tables'], { timeoutMs: TIMEOUT_MS });
  return parseNft(stdout).flatMap(({ table }) => (table === undefined ? [] : [table]));
}

/** Named counters of a table; none where the table is not there. */
export async function readCounters(run: Run, family: NftFamily, table: string): Promise<NftCounter[]> {
  const { stdout, code } = await run('nft', ['--json', 'list', 'counters', 'table', family, table], {
    timeoutMs: TIMEOUT_MS,
    okCodes: [0, 1],
  });
  return code === 0 ? parseCounters(stdout) : [];
}

/** Elements of a table's sets of concatenated values, each as text, by the sets' names; none where it is not there. */
export async function readSets(run: Run, family: NftFamily, table: string): Promise<Map<string, string[][]>> {
  const args = ['--json', '--numeric', 'list', 'table', family, table];
  try {
    return parseSets((await run('nft', args, { timeoutMs: TIMEOUT_MS })).stdout);
  } catch (error) {
    if (error instanceof ProgramError && error.stderr.includes('No such file or directory')) return new Map();
    throw error;
  }
}

export function parseCounters(text: string): NftCounter[] {
  return parseNft(text).flatMap(({ counter }) =>
    counter === undefined ? [] : [{ name: counter.name, packets: counter.packets, bytes: counter.bytes }],
  );
}

/** An element is `{"concat": […]}`, or `{"elem": {"val": …, "expires": …}}` around it where it has a timeout. */
export function parseSets(text: string): Map<string, string[][]> {
  const sets = parseNft(text).flatMap(({ set }) => (set === undefined ? [] : [set]));
  return new Map(sets.map(({ name, elem = [] }) => [name, elem.map(valuesOf)]));
}

function valuesOf(element: SetElement): string[] {
  const value = typeof element === 'object' && 'elem' in element ? element.elem.val : element;
  return typeof value === 'object' ? value.concat.map(String) : [String(value)];
}

type Element = string | number | { concat: unknown[] };
type SetElement = Element | { elem: { val: Element } };

interface NftObject {
  table?: { family: string; name: string };
  counter?: NftCounter;
  set?: { name: string; elem?: SetElement[] };
}

function parseNft(text: string): NftObject[] {
  return (JSON.parse(text) as { nftables: NftObject[] }).nftables;
}
