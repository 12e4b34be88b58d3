/** systemd as the keeper of services; unit files are plain text in /etc/systemd/system. */

import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Run } from '../exec/run.ts';

const UNIT_DIRECTORY = '/etc/systemd/system';

/** As sd_booted(3) tells it. */
export function isSystemdInit(): boolean {
  return existsSync('/run/systemd/system');
}

export class Systemd {
  readonly #run: Run;
  readonly #directory: string;

  constructor(run: Run, directory = UNIT_DIRECTORY) {
    this.#run = run;
    this.#directory = directory;
  }

  /** Writes a unit where it differs, and has systemd read it; true if it did. */
  async writeUnit(name: string, text: string): Promise<boolean> {
    const path = `${this.#directory}/${name}`;
    const present = await readFile(path, 'utf8').catch(() => null);
    if (present === text) return false;
    await mkdir(this.#directory, { recursive: true });
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    await this.#systemctl('daemon-reload');
    return true;
  }

  async isActive(name: string): Promise<boolean> {
    // 3: not active; 4: no such unit.
    const { code } = await this.#run('systemctl', ['is-active', '--quiet', name], { okCodes: [0, 3, 4] });
    return code === 0;
  }

  async isEnabled(name: string): Promise<boolean> {
    const { code } = await this.#run('systemctl', ['is-enabled', '--quiet', name], { okCodes: [0, 1, 4] });
    return code === 0;
  }

  async enableNow(name: string): Promise<void> {
    await this.#systemctl('enable', '--now', name);
  }

  async restart(name: string): Promise<void> {
    await this.#systemctl('restart', name);
  }

  /** Stops and forgets a unit; true if it was there. */
  async removeUnit(name: string): Promise<boolean> {
    const path = `${this.#directory}/${name}`;
    if (!existsSync(path)) return false;
    await this.#systemctl('disable', '--now', name);
    await rm(path, { force: true });
    await this.#systemctl('daemon-reload');
    return true;
  }

  async #systemctl(...args: string[]): Promise<void> {
    await this.#run('systemctl', ['--quiet', ...args], { timeoutMs: 90_000 });
  }
}
