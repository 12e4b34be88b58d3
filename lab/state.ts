/** What is written down about a lab, so that another process can find, enter and remove it. */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, type ProcessId } from './process.ts';
import type { DockerVersion } from './recipe.ts';

export interface LabState {
  name: string;
  /** Number of the lab's network; see address.ts. */
  k: number;
  phase: 'starting' | 'up' | 'stopping';
  /** The process that makes or removes the lab, and for which an ephemeral lab is there. */
  owner: ProcessId;
  /** To be removed when its owner is gone. */
  ephemeral: boolean;
  docker: DockerVersion;
  agent: boolean;
  rate?: string | undefined;
  diskMb?: number | undefined;
  /** Directories of the hosts' root file systems that are under their own, the uppermost first. */
  layers: string[];
  switch?: ProcessId | undefined;
  hosts: HostState[];
}

export interface HostState {
  name: string;
  /** Number within the lab, from 1. */
  n: number;
  address: string;
  /** Its init, as this machine sees it. */
  init?: ProcessId | undefined;
}

/** Where things are under the lab's store, the directory of everything that labs keep. */
export function labDirectory(store: string, name: string): string {
  return join(store, 'labs', name);
}

export function hostDirectory(store: string, lab: string, host: string): string {
  return join(labDirectory(store, lab), host);
}

export async function readState(store: string, name: string): Promise<LabState | undefined> {
  const text = await readFile(stateFile(store, name), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as LabState);
}

/** All labs of this machine, also those of which only the directory is left. */
export async function listLabs(store: string): Promise<{ name: string; state: LabState | undefined }[]> {
  const names = await readdir(join(store, 'labs')).catch(() => []);
  return Promise.all(names.sort().map(async (name) => ({ name, state: await readState(store, name) })));
}

export async function writeState(store: string, state: LabState): Promise<void> {
  const path = stateFile(store, state.name);
  await mkdir(labDirectory(store, state.name), { recursive: true });
  await writeFile(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

/** Whether every process that the lab stands on is there. */
export function isWhole(state: LabState): boolean {
  const processes = [state.switch, ...state.hosts.map(({ init }) => init)];
  return state.phase === 'up' && processes.every((id) => id !== undefined && isAlive(id));
}

/** Whether nobody will use or finish the lab any more: its maker died half-way, or it was to live for its owner only. */
export function isAbandoned(state: LabState): boolean {
  return (state.phase !== 'up' || state.ephemeral) && !isAlive(state.owner);
}

function stateFile(store: string, name: string): string {
  return join(labDirectory(store, name), 'lab.json');
}
