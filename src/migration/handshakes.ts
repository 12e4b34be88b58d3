/** Handshakes that are under way when a workload is about to be frozen. */
import { settleHandshakes } from '../engines/processes/connections.ts';
import { DrayageError } from '../errors.ts';
import type { SourceMigration } from './source-migration.ts';

/** The workload runs meanwhile, so clients whose handshake is under way notice nothing of the wait. */
const PATIENCE = { handshakesMs: 50, acceptMs: 1000 };

/**
 * They come to their end, while packets that open further connections wait: CRIU moves connections that a process holds,
 * and a client whose handshake was forgotten would be reset.
 * @param pid of one of the workload's processes
 * @throws DrayageError NOT_ACCEPTED where the program does not accept its connections
 */
export async function endHandshakes({ options }: SourceMigration, pid: number): Promise<void> {
  if (options.dropConnections) return;
  const left = await settleHandshakes(pid, PATIENCE);
  if (left.length > 0) throw new DrayageError('NOT_ACCEPTED', `Connections wait to be accepted: ${left.join(', ')}.`);
}
