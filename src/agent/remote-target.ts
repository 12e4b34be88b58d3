/** The target of a migration, on another host: TargetPort over the agents' connection. */
import type { TargetPort } from '../migration/target-port.ts';
import type { AgentProtocol } from './agent-protocol.ts';
import { openChannel } from './channels.ts';
import type { Connection } from './connection.ts';

export function remoteTarget(connection: Connection<AgentProtocol>): TargetPort {
  return {
    survey: () => connection.call('target.survey', {}),
    open: (request) => connection.call('target.open', request),
    channel: (id, purpose, meta) => openChannel(connection, purpose, { id, meta }),
    settle: (id) => connection.call('target.settle', { id }),
    create: (id) => connection.call('target.create', { id }),
    begin: (id, start) => connection.call('target.begin', { id, ...start }),
    prune: (id, key, listings) => connection.call('target.prune', { id, key, listings }),
    restore: (id) => connection.call('target.restore', { id }),
    commit: (id) => connection.call('target.commit', { id }),
    release: (id) => connection.call('target.release', { id }),
    abort: (id, reason) => connection.call('target.abort', { id, reason }),
    outcome: async (id) => (await connection.call('target.outcome', { id })).outcome,
    resolve: (id, keep) => connection.call('target.resolve', { id, keep }),
    lost: connection.closed,
    close: () => connection.close(),
  };
}
