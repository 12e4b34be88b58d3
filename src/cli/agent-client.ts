/** What the command line needs of an agent: a connection to one, or what a test puts in its place. */

import type { AgentProtocol } from '../agent/agent-protocol.ts';
import type { Connection } from '../agent/connection.ts';
import type { Result } from '../agent/protocol.ts';

export type AgentClient = Pick<Connection<AgentProtocol>, 'call' | 'onNotification' | 'channels'> & AsyncDisposable;

/** One line of `drayage history`. */
export type MigrationSummary = Result<AgentProtocol, 'migrations.list'>['migrations'][number];
