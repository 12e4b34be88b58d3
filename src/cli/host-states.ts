/** Asks all added hosts at once how they are. */
import { DrayageError, type SerializedError } from '../errors.ts';
import { addedHosts } from '../fleet/hosts.ts';
import type { Cli } from './context.ts';

export interface HostState {
  name: string;
  /** Unix time in milliseconds. */
  addedAt: number;
  /** Version of the agent. */
  drayage?: string;
  /** Version of Docker; null where it does not answer. */
  docker?: string | null;
  /** Why it cannot be reached. */
  error?: SerializedError;
}

export async function hostStates(cli: Cli): Promise<HostState[]> {
  const hosts = await addedHosts();
  return Promise.all(hosts.map(async ({ name, addedAt }) => ({ name, addedAt, ...(await stateOf(cli, name)) })));
}

async function stateOf(cli: Cli, name: string): Promise<Pick<HostState, 'drayage' | 'docker' | 'error'>> {
  try {
    await using agent = await cli.connect(name);
    const hello = await agent.call('hello', {}, { timeoutMs: 10_000 });
    const facts = await agent.call('target.survey', {}, { timeoutMs: 20_000 });
    return { drayage: hello.drayage, docker: facts.docker?.version ?? null };
  } catch (error) {
    return { error: DrayageError.from(error).toJSON() };
  }
}
