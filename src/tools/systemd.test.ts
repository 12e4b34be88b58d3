import { existsSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Run } from '../exec/run.ts';
import { Systemd } from './systemd.ts';

test('a unit is written where it differs, told to systemd, and forgotten again', async () => {
  const commands: string[] = [];
  const run: Run = async (program, args) => {
    commands.push([program, ...args].join(' '));
    return { stdout: '', stderr: '', code: args[0] === 'is-active' ? 3 : 0, ms: 1 };
  };
  const directory = join(await mkdtemp(join(tmpdir(), 'drayage-')), 'system');
  const systemd = new Systemd(run, directory);
  expect(await systemd.writeUnit('x.service', 'one')).toBe(true);
  expect(await systemd.writeUnit('x.service', 'one')).toBe(false);
  expect(await systemd.writeUnit('x.service', 'two')).toBe(true);
  expect(await readFile(join(directory, 'x.service'), 'utf8')).toBe('two');
  expect(await systemd.isActive('x.service')).toBe(false);
  expect(await systemd.isEnabled('x.service')).toBe(true);
  await systemd.enableNow('x.service');
  await systemd.restart('x.service');
  expect(await systemd.removeUnit('x.service')).toBe(true);
  expect(await systemd.removeUnit('x.service')).toBe(false);
  expect(existsSync(join(directory, 'x.service'))).toBe(false);
  expect(commands).toEqual([
    'systemctl --quiet daemon-reload',
    'systemctl --quiet daemon-reload',
    'systemctl is-active --quiet x.service',
    'systemctl is-enabled --quiet x.service',
    'systemctl --quiet enable --now x.service',
    'systemctl --quiet restart x.service',
    'systemctl --quiet disable --now x.service',
    'systemctl --quiet daemon-reload',
  ]);
});
