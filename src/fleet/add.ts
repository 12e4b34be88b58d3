/** Puts drayage on another host over ssh, and takes it away; what is done there is done by the program itself. */
import { DrayageError, ERRORS, type ErrorCode } from '../errors.ts';
import { ProgramError } from '../exec/run.ts';
import { type AgentDoor, refuseWhileBusy } from './agent-service.ts';
import { forgetHost, rememberHost } from './hosts.ts';
import { install, planInstall, presentFiles } from './install.ts';
import { PROGRAM_DIRECTORY } from './layout.ts';
import { probe } from './probe.ts';
import { type OwnFiles, programOf } from './program.ts';
import { remoteShell } from './remote-shell.ts';
import { requirements } from './requirements.ts';
import { refuseUnfit, type SetupEvent } from './setup.ts';
import type { Shell } from './shell.ts';

export interface AddOptions {
  /** As ssh knows it. */
  host: string;
  /** See remote-shell.ts. */
  controlDir: string;
  own: OwnFiles;
  /** To the agent of that host. */
  door: AgentDoor;
  onEvent: (event: SetupEvent) => void;
  signal?: AbortSignal | undefined;
}

/** @throws DrayageError HOST_*, SETUP_* */
export async function addHost({ host, controlDir, own, door, onEvent, signal }: AddOptions): Promise<void> {
  const shell = remoteShell(host, controlDir);
  const [program, there] = await Promise.all([programOf(own), probe(shell, signal)]);
  refuseUnfit(requirements(there, { arch: program.arch, programBytes: program.bytes }), onEvent);

  const plan = planInstall(program, await presentFiles(shell, program, signal), there.wrapper);
  if (plan.write.length > 0) await refuseWhileBusy(door);
  await install(plan, {
    shell,
    tools: there.tools,
    remote: true,
    signal,
    onProgress: ({ path, bytes: total }, bytes) => onEvent({ type: 'transfer', file: path, bytes, total }),
  });
  if (plan.write.length > 0) {
    const files = plan.write.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).join(', ');
    onEvent({ type: 'step', step: 'sent', changed: true, detail: `to ${host}: ${files}` });
  }
  await setupThere(shell, [], onEvent, signal);
  const remembered = await rememberHost(host, Date.now());
  onEvent({
    type: 'step',
    step: 'listed',
    changed: remembered,
    detail: `${host} is among the hosts of drayage host ls`,
  });
}

export interface RemoveHostOptions extends Pick<AddOptions, 'host' | 'controlDir' | 'onEvent' | 'signal'> {
  force: boolean;
  purge: boolean;
}

/** @throws DrayageError HOST_UNKNOWN where there is nothing to remove; HOST_*, SETUP_* */
export async function removeHost({
  host,
  controlDir,
  force,
  purge,
  onEvent,
  signal,
}: RemoveHostOptions): Promise<void> {
  const shell = remoteShell(host, controlDir);
  const installed = (await shell.run(IS_INSTALLED, [`${PROGRAM_DIRECTORY}/drayage.mjs`], { signal })).trim() === 'yes';
  if (installed) {
    const flags = ['--remove', ...(force ? ['--force'] : []), ...(purge ? ['--purge'] : [])];
    await setupThere(shell, flags, onEvent, signal);
  }
  const forgotten = await forgetHost(host);
  if (!installed && !forgotten) throw new DrayageError('HOST_UNKNOWN', `There is no drayage on ${host}.`);
  onEvent({ type: 'step', step: 'listed', changed: forgotten, detail: `${host} is no longer among the hosts` });
}

const IS_INSTALLED = 'if [ -e "$1" ]; then echo yes; else echo no; fi';

/** Runs `drayage setup` there, and hands on what it tells. */
async function setupThere(
  shell: Shell,
  flags: readonly string[],
  onEvent: AddOptions['onEvent'],
  signal?: AbortSignal,
): Promise<void> {
  const program = [`${PROGRAM_DIRECTORY}/node`, `${PROGRAM_DIRECTORY}/drayage.mjs`, 'setup', '--json', ...flags];
  try {
    for (const event of parseLines(await shell.run('exec "$@"', program, { signal }))) hand(event, onEvent);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const said = parseLines(error.stdout);
    for (const event of said) hand(event, onEvent);
    throw (
      errorIn(said) ?? new DrayageError('INTERNAL', `drayage setup failed there: ${error.message}`, { cause: error })
    );
  }
}

type Line = { type: string } & Record<string, unknown>;

function hand(line: Line, onEvent: AddOptions['onEvent']): void {
  if (['findings', 'transfer', 'step', 'note'].includes(line.type)) onEvent(line as SetupEvent);
}

/** The JSON lines of its output; what else is in it is not for us. */
function parseLines(output: string): Line[] {
  return output.split('\n').flatMap((text): Line[] => {
    try {
      const line: unknown = JSON.parse(text);
      return typeof line === 'object' && line !== null && 'type' in line ? [line as Line] : [];
    } catch {
      return [];
    }
  });
}

function errorIn(lines: readonly Line[]): DrayageError | undefined {
  const error = lines.find(({ type }) => type === 'error');
  if (error === undefined) return undefined;
  const text = (key: string) => String(error[key] ?? '');
  const code = (text('code') in ERRORS ? text('code') : 'INTERNAL') as ErrorCode;
  return new DrayageError(code, text('message'), { meaning: text('meaning'), remedy: text('remedy') });
}
