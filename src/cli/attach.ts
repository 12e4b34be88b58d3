import type { Command } from 'commander';
import { DrayageError } from '../errors.ts';
import type { AgentClient } from './agent-client.ts';
import { declare, type HostOptions, hostOption } from './command.ts';
import type { Cli } from './context.ts';

/** Ctrl-P, Ctrl-Q: as with docker attach. */
const DETACH = Buffer.of(0x10, 0x11);

export function attachCommand(cli: Cli): Command {
  return declare('attach', {
    summary: 'connect to the terminal of processes that were moved',
    description:
      'Connects this terminal to the one that moved processes are on. Ctrl-P Ctrl-Q leaves it, and they go on; so they do when this command is closed. The size of this terminal becomes theirs.',
    examples: [
      ['drayage attach process:4711 --host root@hostb', ''],
      ['drayage attach 20261121-140309-1f2e', 'by the id of the migration that brought them'],
    ],
  })
    .argument('<workload>', 'process:pid, or the id of the migration')
    .addOption(hostOption())
    .action(async (workload: string, { host }: HostOptions) => {
      await using agent = await cli.connect(host);
      await attach(cli, agent, workload);
    });
}

/** Until the terminal ends or the user leaves it. @throws DrayageError NO_TERMINAL, TERMINAL_UNKNOWN, WORKLOAD_AMBIGUOUS */
export async function attach(cli: Cli, agent: AgentClient, name: string): Promise<void> {
  await using keyboard = await cli.keyboard();
  if (keyboard === null) throw new DrayageError('NO_TERMINAL', 'There is no terminal here to connect.');
  const { id } = await agent.call('terminals.find', { name });
  const left = Promise.withResolvers<'left'>();
  let last = 0;
  const failed = (error: unknown): void => left.reject(error);
  keyboard.onKeys((keys) => {
    const at = detachAt(last, keys);
    last = keys.at(-1) ?? 0;
    const typed = at === undefined ? keys : keys.subarray(0, at);
    if (typed.length > 0) agent.call('terminals.type', { id, keys: typed.toString('base64') }).catch(failed);
    if (at !== undefined) left.resolve('left');
  });
  keyboard.onResize((size) => void agent.call('terminals.resize', { id, ...size }).catch(failed));
  using _ = agent.onNotification('terminal', ({ id: of, output }) => {
    if (of === id) cli.out.write(Buffer.from(output, 'base64'));
  });
  const ended = agent.call('terminals.attach', { id, ...keyboard.size() });
  ended.catch(() => {}); // Where the user has left, nobody waits for it.
  const how = await Promise.race([ended, left.promise]);
  const said = how === 'left' ? 'left; the processes go on' : 'the terminal has ended';
  cli.out.write(`\r\ndrayage: ${said}\r\n`);
}

/** Where the two keys begin; undefined where they are not there. The first may have been the last of those before. */
function detachAt(last: number, keys: Buffer): number | undefined {
  const at = Buffer.concat([Buffer.of(last), keys]).indexOf(DETACH);
  return at < 0 ? undefined : Math.max(at - 1, 0);
}
