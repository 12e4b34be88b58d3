/** What keeps the agent of this host running: systemd, a lab's supervisor, or nothing. */
import { existsSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrayageError } from '../errors.ts';
import { runner, startDetached } from '../exec/run.ts';
import { isSystemdInit, Systemd } from '../tools/systemd.ts';
import { runningAgent, stopAgent } from './agent-process.ts';
import { AGENT_ENABLED, AGENT_LOG, CONFIG_DIRECTORY, PROGRAM_DIRECTORY, SUPERVISOR_DIRECTORY } from './layout.ts';

export type Keeper = 'systemd' | 'supervisor' | 'none';

/** How to talk to the agent of this host. */
export interface AgentDoor {
  /** Its version; null where none answers. */
  version(): Promise<string | null>;
  /** It drives a migration or is the target of one; false where none answers. */
  busy(): Promise<boolean>;
}

const UNIT = 'drayage-agent.service';
/** An agent reads its journals before it answers. */
const START_MS = 30_000;

export function keeperOfThisHost(): Keeper {
  if (isSystemdInit()) return 'systemd';
  return existsSync(SUPERVISOR_DIRECTORY) ? 'supervisor' : 'none';
}

/**
 * The agent runs the installed program when this resolves; true if anything had to be done.
 * @param build that is installed, see buildOf
 * @throws DrayageError SETUP_BUSY where an older agent is in the midst of a migration; SETUP_AGENT where none answers
 */
export async function ensureAgent(keeper: Keeper, build: string, door: AgentDoor): Promise<boolean> {
  const running = await runningAgent();
  const answers = (await door.version()) !== null;
  const current = answers && running?.build === build;
  if (answers && !current) await refuseWhileBusy(door);
  const changed = await KEEPERS[keeper].ensure(current);
  if (changed) await waitForAnswer(door);
  return changed || !current;
}

/** @throws DrayageError SETUP_BUSY */
export async function refuseWhileBusy(door: AgentDoor): Promise<void> {
  if (await door.busy()) throw new DrayageError('SETUP_BUSY', 'The agent has migrations under way.');
}

/** Stops the agent and keeps it from being started again; true if anything had to be done. */
export function removeAgent(keeper: Keeper): Promise<boolean> {
  return KEEPERS[keeper].remove();
}

interface KeeperActions {
  /** `current`: the right agent runs already. True if anything had to be done. */
  ensure(current: boolean): Promise<boolean>;
  remove(): Promise<boolean>;
}

const KEEPERS: Record<Keeper, KeeperActions> = {
  systemd: {
    async ensure(current) {
      const systemd = new Systemd(runner());
      const written = await systemd.writeUnit(UNIT, UNIT_TEXT);
      const active = await systemd.isActive(UNIT);
      if (current && active && !written && (await systemd.isEnabled(UNIT))) return false;
      // One that was started by hand would keep the socket from the unit's.
      if (!active) await stopRunning();
      await systemd.enableNow(UNIT);
      if (active && !current) await systemd.restart(UNIT);
      return true;
    },
    async remove() {
      const removed = await new Systemd(runner()).removeUnit(UNIT);
      return (await stopRunning()) || removed;
    },
  },
  supervisor: {
    async ensure(current) {
      const enabled = existsSync(AGENT_ENABLED);
      if (!enabled) {
        await mkdir(CONFIG_DIRECTORY, { recursive: true });
        await writeFile(AGENT_ENABLED, '');
      }
      if (!current) await stopRunning(); // The supervisor starts the new one.
      return !enabled || !current;
    },
    async remove() {
      const enabled = existsSync(AGENT_ENABLED);
      await rm(AGENT_ENABLED, { force: true });
      return (await stopRunning()) || enabled;
    },
  },
  none: {
    async ensure(current) {
      if (current) return false;
      await stopRunning();
      const log = await open(AGENT_LOG, 'a', 0o600);
      startDetached(`${PROGRAM_DIRECTORY}/node`, [`${PROGRAM_DIRECTORY}/drayage.mjs`, 'agent'], log.fd);
      await log.close();
      return true;
    },
    remove: stopRunning,
  },
};

async function stopRunning(): Promise<boolean> {
  const running = await runningAgent();
  if (running !== null) await stopAgent(running);
  return running !== null;
}

async function waitForAnswer(door: AgentDoor): Promise<void> {
  const deadline = performance.now() + START_MS;
  while ((await door.version()) === null) {
    if (performance.now() > deadline) {
      throw new DrayageError('SETUP_AGENT', `The agent does not answer after ${START_MS / 1000} s.`);
    }
    await sleep(50);
  }
}

// What drayage stages must be mounted where Docker sees it, so the unit has no mount namespace of its own. A dump holds
// secrets of workloads, so there is no core file of the process that carries it. Children are ended with the agent:
// what they were doing is taken up from the journal.
const UNIT_TEXT = `[Unit]
Description=drayage agent, which moves running containers between hosts
After=docker.service network-online.target
Wants=network-online.target

[Service]
ExecStart=${PROGRAM_DIRECTORY}/node ${PROGRAM_DIRECTORY}/drayage.mjs agent
Restart=always
RestartSec=1
KillMode=mixed
LimitNOFILE=65536
LimitCORE=0
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`;
