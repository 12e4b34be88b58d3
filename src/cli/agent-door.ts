/** What setup asks of an agent, over a connection of its own each time: the agent may be restarted in between. */
import { DrayageError } from '../errors.ts';
import type { AgentDoor } from '../fleet/agent-service.ts';
import type { Cli } from './context.ts';

export function agentDoor(cli: Cli, host?: string): AgentDoor {
  const ask = async () => {
    try {
      await using agent = await cli.connect(host);
      return await agent.call('hello', {}, { timeoutMs: 10_000 });
    } catch (error) {
      if (error instanceof DrayageError && NOBODY.has(error.code)) return null;
      throw error;
    }
  };
  return {
    version: async () => (await ask())?.drayage ?? null,
    busy: async () => (await ask())?.busy ?? false,
  };
}

/** There is no agent, or it is just ending. */
const NOBODY = new Set<string>(['AGENT_ABSENT', 'AGENT_MISSING', 'AGENT_LOST', 'HOST_NO_AGENT']);
