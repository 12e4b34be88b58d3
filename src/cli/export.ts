/** `drayage export` and `drayage snapshot`: a workload into an archive. */
import { finished, pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { READER } from '../archive/output.ts';
import type { MigrateOptions } from '../migration/events.ts';
import type { AgentClient } from './agent-client.ts';
import { archivePath, type LockFlags, lockOf, withLockOptions } from './archive-options.ts';
import { declare, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { follow } from './follow.ts';
import { agreeTo, costsOf, refusalOf } from './migrate.ts';
import { renderFindings } from './report/finding.ts';

interface Flags extends LockFlags {
  output: string;
  image: boolean;
  carryBinds?: true;
  dropConnections?: true;
  yes?: true;
  json?: true;
}

export function exportCommand(cli: Cli): Command {
  const command = declare('export', {
    summary: 'move a running workload into an archive',
    description: `Moves a running workload into an archive: one file with its memory, files, configuration and image, to be carried to a host that this one cannot reach and imported there.

Like a move it stops the workload here for good, as soon as the archive is whole: its copy stays, stopped, under another name. It runs nowhere until it is imported. Until then Ctrl-C, or anything that fails, is an undo.`,
    examples: [
      ['drayage export docker:web -o web.drayage', ''],
      ['drayage export web -o - --yes | ssh backup "cat >web.drayage"', 'as a stream'],
      ['drayage export web -o web.drayage --no-image', 'the image is only named'],
      ['drayage export web -o web.age --encrypt-to age1...', 'encrypted, to a key of age-keygen'],
    ],
  });
  return withArchiveOptions(command).action((workload: string, flags: Flags) =>
    write(cli, { workload, leaveRunning: false }, flags),
  );
}

export function snapshotCommand(cli: Cli): Command {
  const command = declare('snapshot', {
    summary: 'write what a running workload is now to an archive',
    description: `Writes what a running workload is at this moment to an archive. It stands still for that moment, and goes on.

What is made of the archive by drayage import is a second copy, which knows nothing of what the first one has done since: connections are dropped, and work that was under way is done twice unless the first one is stopped.`,
    examples: [
      ['drayage snapshot docker:web -o web.drayage', ''],
      ['drayage snapshot docker:web --leave-running -o web.drayage', 'the same, in more words'],
    ],
  });
  return withArchiveOptions(command)
    .option('--leave-running', 'it goes on: what a snapshot always does')
    .action((workload: string, flags: Flags) => write(cli, { workload, leaveRunning: true }, flags));
}

function withArchiveOptions(command: Command): Command {
  return withLockOptions(
    command
      .argument('<workload>', 'engine:name, or just the name')
      .requiredOption('-o, --output <file>', 'the archive, which must not be there yet; - for standard output')
      .option('--no-image', 'only name the image: the other host has it')
      .option('--carry-binds', 'with the content of bind mounts')
      .option('--drop-connections', 'although established connections will be lost'),
  )
    .option('--yes', 'agree to what it costs, without being asked')
    .addOption(jsonOption('events as JSON lines, the result last'));
}

interface What {
  workload: string;
  leaveRunning: boolean;
}

async function write(terminal: Cli, { workload, leaveRunning }: What, flags: Flags): Promise<void> {
  const { output, image, json = false } = flags;
  // Standard output is the archive's.
  const cli = output === '-' ? { ...terminal, out: terminal.err } : terminal;
  const lock = await lockOf(flags);
  const request = { workload, image, options: optionsOf(flags, leaveRunning) };
  await using agent = await cli.connect();
  const { findings } = await agent.call('archives.checkExport', { ...request, toStream: output === '-' });
  if (!json) cli.out.write(renderFindings(findings, cli.out.look()));
  const { options } = request;
  const asked = { options, maySpend: flags.yes ?? false, mayAsk: !json && cli.err.isTty };
  const refusal = refusalOf({ findings }, { workload, to: 'an archive', ...asked });
  if (refusal !== null && json) writeJson(cli.out, { type: 'findings', findings });
  if (refusal !== null) throw refusal;
  await agreeTo(cli, costsOf({ findings }, options), flags.yes ?? false);

  const archive = archivePath(output);
  const read = archive.token === undefined ? undefined : readInto(terminal, agent, archive.token);
  read?.catch(() => {}); // The agent notices, and undoes it.
  const { id } = await agent.call('archives.export', { ...request, ...archive, ...(lock && { lock }) });
  if (!json) cli.out.write(`${cli.out.look().style.dim(`migration ${id}`)}\n`);
  await follow(cli, agent, { id, json, onInterrupt: 'undo' });
}

/** Tells the agent whether standard output has taken all of it: only if it hears nothing does it have to doubt. */
async function readInto(cli: Cli, agent: AgentClient, token: string): Promise<void> {
  const stream = await cli.stream(agent, 'archive-out', token);
  let isThere = true;
  try {
    await pipeline(stream.iterator({ destroyOnReturn: false }), cli.pipes.out());
  } catch {
    isThere = false;
  }
  stream.resume();
  stream.end(Buffer.of(isThere ? READER.hasIt : READER.lacksIt));
  await finished(stream);
}

function optionsOf({ carryBinds, dropConnections }: Flags, leaveRunning: boolean): MigrateOptions {
  return {
    ...{ strategy: 'live', allowRestart: false, replaceFiles: false },
    remove: false,
    carryBinds: carryBinds ?? false,
    dropConnections: dropConnections ?? false,
    handover: 'none',
    dryRun: false,
    ...(leaveRunning && { leaveRunning }),
  };
}
