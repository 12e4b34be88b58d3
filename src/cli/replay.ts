import { type Command, InvalidArgumentError } from 'commander';
import type { AgentProtocol } from '../agent/agent-protocol.ts';
import type { Result } from '../agent/protocol.ts';
import { DrayageError } from '../errors.ts';
import type { ReplayDraft } from '../replay/draft.ts';
import { declare, type HostOptions, hostOption, jsonOption } from './command.ts';
import { type Cli, writeJson } from './context.ts';
import { follow } from './follow.ts';
import { refusalOf } from './migrate.ts';
import { renderFindings } from './report/finding.ts';
import { renderDraft } from './report/replay.ts';

interface Flags extends HostOptions {
  to?: string;
  log?: string;
  base?: string;
  output?: string;
  prompt?: string;
  columns?: number;
  keepFailed?: true;
  captureRest?: true;
  require?: number;
  start?: true;
  yes?: true;
}

export function replayCommand(cli: Cli): Command {
  return declare('replay', {
    summary: 'rebuild a container elsewhere from the log of its terminal',
    description: `Finds out from the log of a container's terminal what was typed there (docker attach), writes a Dockerfile that does it again, builds that on another host, and tells how much of the file system is alike. For hosts to which no running container can be moved, and for people who want a Dockerfile of what they did by hand. The container is only read.

What docker exec did is in no log: --capture-rest carries what no command explains. docs/guide-replay.md tells what becomes of which command.`,
    examples: [
      ['drayage replay docker:dev --to root@hostb', 'shows the Dockerfile, asks, builds there, compares'],
      [
        'drayage replay docker:dev --to root@hostb --capture-rest --require 100 --start',
        'nothing less than alike, and start it',
      ],
      ['drayage replay docker:dev -o dev', 'only the Dockerfile and its files'],
      ['drayage replay --log dev-json.log --base debian:13 -o dev', 'of a log file alone, without Docker'],
    ],
  })
    .argument('[workload]', 'engine:name, or just the name')
    .option('--to <host>', 'the host to build on, as ssh knows it')
    .option('--log <file>', "a log of Docker's json-file driver, with its rotated files beside it")
    .option('--base <image>', 'with --log: the image that the container was made of')
    .option('-o, --output <directory>', 'write the Dockerfile and its files there')
    .option('--prompt <regex>', 'the prompt, where it is not one of the common kinds')
    .option('--columns <number>', 'width of the terminal, where it is known', wholeNumber)
    .option('--keep-failed', 'run failed commands again, too')
    .option('--capture-rest', 'carry what no command explains as a last layer')
    .option('--require <percent>', 'undo it where less is alike', percent)
    .option('--start', 'create the container there with the same configuration, and start it')
    .option('--yes', 'build without being asked')
    .addOption(hostOption())
    .addOption(jsonOption('events as JSON lines, the result last'))
    .action((workload: string | undefined, flags: Flags) => replay(cli, workload, flags));
}

async function replay(cli: Cli, workload: string | undefined, flags: Flags): Promise<void> {
  assertUsed(flags);
  if (flags.log !== undefined && workload === undefined) return ofLog(cli, flags.log, flags);
  if (workload === undefined || flags.log !== undefined) {
    throw new DrayageError('USAGE', 'Name a container, or a log with --log, and not both.', {
      remedy: 'See drayage replay --help.',
    });
  }
  if (flags.to === undefined && flags.output === undefined) {
    throw new DrayageError('USAGE', 'Say where to: --to HOST, or -o DIRECTORY.', {
      remedy: 'See drayage replay --help.',
    });
  }
  return ofContainer(cli, workload, flags);
}

/** What is built is built on a host: without one these would do nothing. */
function assertUsed({ to, log, base, captureRest, require, start }: Flags): void {
  const idle = [
    ...(captureRest && to === undefined ? ['--capture-rest needs --to HOST'] : []),
    ...(require !== undefined && to === undefined ? ['--require needs --to HOST'] : []),
    ...(start && to === undefined ? ['--start needs --to HOST'] : []),
    ...(base !== undefined && log === undefined ? ['--base needs --log FILE'] : []),
  ];
  if (idle.length > 0) throw new DrayageError('USAGE', `${idle.join(', ')}.`, { remedy: 'See drayage replay --help.' });
}

async function ofLog(cli: Cli, log: string, flags: Flags): Promise<void> {
  if (flags.base === undefined || flags.to !== undefined) {
    const what = flags.to === undefined ? '--base IMAGE is missing' : '--to needs a container, not a log';
    throw new DrayageError('USAGE', `${what}.`, { remedy: 'See drayage replay --help.' });
  }
  const { draftOfLog } = await import('../replay/draft.ts');
  await present(cli, await draftOfLog(log, flags.base, readOptions(flags)), flags);
}

async function ofContainer(cli: Cli, workload: string, flags: Flags): Promise<void> {
  const { to, json = false, host, start = false } = flags;
  await using agent = await cli.connect(host);
  const options = readOptions(flags);
  const { fingerprint } = await import('../replay/context-archive.ts');
  const answer = await agent.call('replays.draft', { workload, start, options, ...(to !== undefined && { to }) });
  const draft = draftOf(answer);
  await present(cli, draft, flags);
  if (to === undefined) return;
  const refusal = refusalOf(draft, { workload, to, options: { allowRestart: false }, maySpend: true, mayAsk: true });
  if (refusal !== null) throw refusal;
  if (!flags.yes) await agree(cli, to, json);
  const { id } = await agent.call('replays.start', {
    workload,
    to,
    options: {
      ...{ ...options, start, captureRest: flags.captureRest ?? false, require: flags.require ?? 0 },
      ...(!flags.yes && { agreed: fingerprint(draft) }),
    },
  });
  if (!json) cli.out.write(`${cli.out.look().style.dim(`replay ${id}`)}\n`);
  await follow(cli, agent, { id, json, host, onInterrupt: 'undo' });
}

/** On the terminal, and in a directory where one was named. */
async function present(cli: Cli, draft: ReplayDraft, { output, json }: Flags): Promise<void> {
  const { dockerfile, findings, commands, context } = draft;
  if (json) writeJson(cli.out, { type: 'draft', dockerfile, files: [...context.keys()], findings, commands });
  else cli.out.write(renderDraft(draft, cli.out.look()) + renderFindings(findings, cli.out.look()));
  if (output === undefined) return;
  const { writeContext } = await import('../replay/context-archive.ts');
  await writeContext(output, draft);
  if (!json) cli.out.write(`written to ${output}: docker build ${output}\n`);
}

async function agree(cli: Cli, to: string, json: boolean): Promise<void> {
  const answer = json ? null : await cli.confirm(`Build it on ${to}?`);
  if (answer === true) return;
  if (answer === false) throw new DrayageError('CANCELLED', 'Nothing was built.');
  throw new DrayageError('CONFIRMATION_NEEDED', 'There is nobody to ask whether it is to be built.', {
    meaning: 'A Dockerfile that was made by a program should be read before it is built.',
    remedy: 'Read it (drayage replay NAME -o DIRECTORY), then run the command again with --yes.',
  });
}

function draftOf({ files, ...draft }: Result<AgentProtocol, 'replays.draft'>): ReplayDraft {
  const context = files.map(
    ({ name, content, ...file }) => [name, { ...file, content: Buffer.from(content, 'base64') }] as const,
  );
  return { ...draft, context: new Map(context) };
}

interface ReadFlags {
  prompt?: string;
  columns?: number;
  keepFailed: boolean;
}

function readOptions({ prompt, columns, keepFailed }: Flags): ReadFlags {
  return {
    keepFailed: keepFailed === true,
    ...(prompt !== undefined && { prompt }),
    ...(columns !== undefined && { columns }),
  };
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 2) throw new InvalidArgumentError('It is a number of columns, 2 or more.');
  return Number(text);
}

function percent(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 100)) throw new InvalidArgumentError('It is a number from 0 to 100.');
  return value;
}
