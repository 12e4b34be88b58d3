/** Connects the command line to an agent, on this host or on another one. */
import { agentProtocol } from '../agent/agent-protocol.ts';
import { connectLocal, connectSsh } from '../agent/client.ts';
import { start } from '../exec/run.ts';
import { AGENT_SOCKET } from '../fleet/layout.ts';
import type { AgentClient } from './agent-client.ts';

export interface ConnectOptions {
  host: string | undefined;
  version: string;
  controlDir: string;
}

export async function connect({ host, version, controlDir }: ConnectOptions): Promise<AgentClient> {
  const options = { protocol: agentProtocol, version, from: 'cli' } as const;
  // Over ssh a lost network shows by silence only.
  if (host !== undefined) return connectSsh(host, { ...options, controlDir, heartbeat: true, start: startAside });
  return connectLocal(AGENT_SOCKET, { ...options, addresses: () => [] }); // Bulk data goes over the socket, too.
}

/** In a session of its own: Ctrl-C on the terminal is for this program, which still needs the connection to undo. */
const startAside: typeof start = (program, args, options) => start('setsid', [program, ...args], options);
