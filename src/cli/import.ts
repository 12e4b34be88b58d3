/** `drayage import`: a workload out of an archive. */
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { AgentClient } from './agent-client.ts';
import { archivePath, type KeyFlags, keyOf, withKeyOptions } from './archive-options.ts';
import { declare, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { follow } from './follow.ts';
import { agreeTo, costsOf, refusalOf } from './migrate.ts';
import { renderFindings } from './report/finding.ts';

interface Flags extends KeyFlags {
  dryRun?: true;
  undo?: true;
  replaceFiles?: true;
  pidNamespace?: true;
  privateRoot?: true;
  yes?: true;
  json?: true;
}

export function importCommand(cli: Cli): Command {
  const command = declare('import', {
    summary: 'let a workload out of an archive run on here',
    description: `Lets a workload run on here, from the moment when it was exported.

The whole archive is checked before anything is created: one that is cut short, altered or something else is refused. An export is imported once on a host. Where the disk gets full in the middle, what is in place is kept: free room and run the same command again.`,
    examples: [
      ['drayage import web.drayage', ''],
      ['ssh backup cat web.drayage | drayage import -', 'as a stream; it is kept on disk until it has been checked'],
      ['drayage import web.drayage --dry-run', 'only the checks'],
      ['drayage import web.age --identity key.txt', 'an encrypted one'],
      ['drayage import web.drayage --undo', 'one that found no room: take back what is in place'],
    ],
  });
  return withKeyOptions(command.argument('<archive>', 'a file, or - for standard input'))
    .option('--dry-run', 'end after the checks')
    .option('--undo', 'take back an import that waits for room')
    .option('--replace-files', 'of processes: let their files take the place of other ones here')
    .option('--private-root', 'of processes: let them alone see their files')
    .option('--pid-namespace', 'of processes: give them numbers of their own')
    .option('--yes', 'agree to what it costs, without being asked')
    .addOption(jsonOption('events as JSON lines, the result last'))
    .action((archive: string, flags: Flags) => read(cli, archive, flags));
}

async function read(cli: Cli, archive: string, flags: Flags): Promise<void> {
  const { json = false } = flags;
  const key = await keyOf(flags);
  const file = { ...archivePath(archive), ...(key && { key }) };
  await using agent = await cli.connect();
  if (file.token !== undefined) await send(cli, agent, file.token);
  const { replaceFiles, pidNamespace, privateRoot } = flags;
  const chosen = {
    ...(replaceFiles && { replaceFiles }),
    ...(pidNamespace && { pidNamespace }),
    ...(privateRoot && { privateRoot }),
  };
  if (flags.undo) {
    const { id } = await agent.call('archives.undo', file);
    await follow(cli, agent, { id, json, onInterrupt: 'leave' });
    return;
  }
  const { manifest, findings } = await agent.call('archives.checkImport', { ...file, chosen });
  const { name, engine } = manifest.workload.ref;
  const workload = `${engine}:${name}`;
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  const options = { allowRestart: false };
  const asked = { options, maySpend: flags.yes ?? false, mayAsk: !json && cli.err.isTty };
  const refusal = refusalOf({ findings }, { workload, to: 'this host', ...asked });
  if (json && (refusal !== null || flags.dryRun)) writeJson(cli.out, { type: 'findings', findings });
  if (refusal !== null) throw refusal;
  if (flags.dryRun) return;
  await agreeTo(cli, costsOf({ findings }, options), flags.yes ?? false);

  const { id, from } = await agent.call('archives.import', { ...file, chosen });
  if (!json) cli.out.write(`${cli.out.look().style.dim(`migration ${id}`)}\n`);
  await follow(cli, agent, { id, json, onInterrupt: 'undo', from, leavesWaiting: true });
}

/** Resolves when the agent has all of it. */
async function send(cli: Cli, agent: AgentClient, token: string): Promise<void> {
  const stream = await cli.stream(agent, 'archive-in', token);
  await pipeline(cli.pipes.in, stream, { end: true });
  for await (const _ of stream); // Its end says that it is in place.
}
