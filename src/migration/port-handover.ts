/**
 * How clients find a tree of processes that listens on the host's own addresses, which stay: the host that it left
 * relays what comes to its ports. Connections that are open cannot be taken along; see preflight.
 */
import type { HostFacts, ProcessTreeFacts } from '../engines/facts.ts';
import { ProgramError, type Run } from '../exec/run.ts';
import { applyNft, removeTable, replaceTable } from '../tools/nft.ts';
import { tableName } from '../traffic/names.ts';
import { portsOfEndpoints, relayable } from '../traffic/relay.ts';
import type { Relays, StoredRelay } from '../traffic/relays.ts';
import { addressTowards } from '../traffic/way.ts';
import { isForwarded, type MigrateOptions } from './events.ts';
import type { JournalRecord } from './journal-records.ts';
import type { SourceMigration } from './source-migration.ts';
import type { UndoStack } from './undo.ts';
import { untilDone } from './until-done.ts';

/** Pure: what is to be relayed to where; undefined where nothing is, or the target cannot be reached. */
export function planRelay(
  { listening }: Pick<ProcessTreeFacts, 'listening'>,
  { source, target }: { source: HostFacts; target: HostFacts },
  options: Pick<MigrateOptions, 'handover'>,
): Pick<StoredRelay, 'address' | 'endpoints'> | undefined {
  const endpoints = relayable(listening);
  if (endpoints.length === 0 || !isForwarded(options)) return undefined;
  const [here, there] = [source.traffic?.network, target.traffic?.network];
  if (here === undefined || there === undefined) return undefined;
  const bridges = [...here.devices, ...there.devices].filter(({ kind }) => kind === 'bridge').map(({ name }) => name);
  const address = addressTowards(here, there, bridges);
  return address === undefined ? undefined : { address, endpoints };
}

/** Written down first, so that a recovery after a crash knows of it. */
export async function noteRelay(m: SourceMigration, relay: StoredRelay): Promise<void> {
  await m.journal.append({ type: 'acquired', resource: { kind: 'relay', key: 'relay', relay } });
}

/**
 * From now on nobody is let in: the frozen tree's kernel would accept connections that are about to be forgotten. Their
 * clients ask again after a second. Without nft they are lost.
 */
export async function holdPorts(m: SourceMigration, { id, endpoints }: StoredRelay, undo: UndoStack): Promise<void> {
  undo.push('the hold of its ports', () => untilDone(m.stopping, () => letIn(m.run, id), m.noteRetry));
  const ports = portsOfEndpoints(endpoints).join(', ');
  const rules = [`tcp dport { ${ports} } tcp flags & (syn | ack) == syn counter drop`];
  const hook = { type: 'filter', hook: 'input', priority: 0 } as const;
  const table = replaceTable({ ...tableOf(id), objects: [], chains: [{ name: 'input', hook, rules }] });
  await applyNft(m.run, table).catch(() => {});
}

/** After the commit, once the source's copy is gone and its ports are free. To be repeated where it fails. */
export async function followPorts(run: Run, relays: Relays, relay: StoredRelay): Promise<void> {
  await relays.put(relay);
  await letIn(run, relay.id);
}

/** Of a migration whose agent was killed in the middle: it goes on here, or (`moved`) its ports lead to the target. */
export async function recoverPorts(
  run: Run,
  records: readonly JournalRecord[],
  moved: Relays | undefined,
): Promise<void> {
  const record = records.find((each) => each.type === 'acquired' && each.resource.kind === 'relay');
  if (record?.type !== 'acquired') return;
  const { relay } = record.resource as unknown as { relay: StoredRelay };
  if (moved === undefined) await letIn(run, relay.id);
  else await followPorts(run, moved, relay);
}

/** @throws ProgramError where the hold stays */
async function letIn(run: Run, id: string): Promise<void> {
  await applyNft(run, removeTable(tableOf(id))).catch((error: unknown) => {
    if (!hasNoNft(error)) throw error;
  });
}

/** Then there is no hold: the program is not there, or the kernel has no such tables. */
function hasNoNft(error: unknown): boolean {
  if (!(error instanceof ProgramError)) return false;
  return (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT' || /not supported/.test(error.stderr);
}

function tableOf(id: string): { family: 'inet'; name: string } {
  return { family: 'inet', name: tableName('hold', id) };
}
