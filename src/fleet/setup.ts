/** drayage on the host one is on: checks, files, runtime, agent. Repeatable; the second time changes nothing. */

import { DrayageError } from '../errors.ts';
import type { Finding } from '../migration/finding.ts';
import { Docker } from '../tools/docker.ts';
import { type AgentDoor, ensureAgent, type Keeper, keeperOfThisHost, refuseWhileBusy } from './agent-service.ts';
import { registerRuntime } from './docker-runtime.ts';
import { install, planInstall, presentFiles } from './install.ts';
import { AGENT_LOG, PROGRAM_DIRECTORY, RUNTIME_NAME, WRAPPER } from './layout.ts';
import { probe } from './probe.ts';
import { buildOf, type OwnFiles, programOf } from './program.ts';
import { requirements } from './requirements.ts';
import { localShell } from './shell.ts';

export type SetupEvent =
  | { type: 'findings'; findings: Finding[] }
  /** `bytes` of `total` of one file that is being sent. */
  | { type: 'transfer'; file: string; bytes: number; total: number }
  | { type: 'step'; step: string; changed: boolean; detail: string }
  | { type: 'note'; message: string };

export interface SetupOptions {
  own: OwnFiles;
  door: AgentDoor;
  onEvent: (event: SetupEvent) => void;
  signal?: AbortSignal | undefined;
}

/** @throws DrayageError HOST_UNFIT, HOST_TRANSFER, SETUP_* */
export async function setup({ own, door, onEvent, signal }: SetupOptions): Promise<void> {
  const step = (name: string, changed: boolean, detail: string) =>
    onEvent({ type: 'step', step: name, changed, detail });
  const [program, host] = await Promise.all([programOf(own), probe(localShell, signal)]);
  refuseUnfit(requirements(host, { arch: program.arch, programBytes: program.bytes }), onEvent);

  const plan = planInstall(program, await presentFiles(localShell, program, signal), host.wrapper);
  if (plan.write.length > 0) await refuseWhileBusy(door);
  await install(plan, {
    shell: localShell,
    tools: host.tools,
    remote: false,
    signal,
    onProgress: ({ path, bytes: total }, bytes) => onEvent({ type: 'transfer', file: path, bytes, total }),
  });
  step('program', plan.write.length > 0, `drayage ${program.version} in ${PROGRAM_DIRECTORY}`);
  if (plan.keepsForeignWrapper) onEvent({ type: 'note', message: FOREIGN_WRAPPER });

  await using docker = new Docker();
  step('runtime', await registerRuntime(docker, signal), `Docker knows the runtime "${RUNTIME_NAME}"`);

  const keeper = keeperOfThisHost();
  step('agent', await ensureAgent(keeper, buildOf(program), door), KEPT_BY[keeper]);
  if (keeper === 'none') onEvent({ type: 'note', message: NOT_KEPT });
}

/** Tells all findings, and @throws DrayageError HOST_UNFIT where one blocks. */
export function refuseUnfit(findings: Finding[], onEvent: SetupOptions['onEvent']): void {
  if (findings.length > 0) onEvent({ type: 'findings', findings });
  const blocking = findings.filter(({ severity }) => severity === 'blocks');
  if (blocking.length === 0) return;
  throw new DrayageError('HOST_UNFIT', `The host is not fit: ${blocking.map(({ code }) => code).join(', ')}.`);
}

const KEPT_BY: Record<Keeper, string> = {
  systemd: 'the agent runs, kept by systemd (drayage-agent.service)',
  supervisor: "the agent runs, kept by the host's supervisor",
  none: `the agent runs; its log is ${AGENT_LOG}`,
};

const NOT_KEPT = `No systemd here, so the agent will not be started after a reboot. Put this line where the host starts its services (/etc/rc.local, for instance): ${PROGRAM_DIRECTORY}/node ${PROGRAM_DIRECTORY}/drayage.mjs agent >>${AGENT_LOG} 2>&1 &`;

const FOREIGN_WRAPPER = `${WRAPPER} is something else, most likely a drayage that was installed by npm; it is left as it is. Keep it of the same version.`;
