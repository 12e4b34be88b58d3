/** runc: what drayage asks of it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../exec/run.ts';
import { DIRECTORIES } from './find-program.ts';

export interface CheckpointOptions {
  run: Run;
  /** `--root` of the engine's runc state. */
  root: string;
  containerId: string;
  /** Where CRIU writes its images and logs; must exist. */
  imagesDir: string;
  workDir: string;
  /** CRIU's configuration file, for options that runc has no flag for. */
  criuConfig: string;
  /** Programs that CRIU is to find before the host's. */
  binDir: string;
}

/**
 * Dumps a frozen container and leaves it frozen. Its cgroup must be frozen beforehand: CRIU then leaves it so, and
 * saves its own freezer's waits in quanta of 100 ms.
 */
export async function checkpoint({
  run,
  root,
  containerId,
  imagesDir,
  workDir,
  criuConfig,
  binDir,
}: CheckpointOptions): Promise<void> {
  await run(
    'runc',
    [
      ...['--root', root, 'checkpoint', '--leave-running', '--image-path', imagesDir, '--work-path', workDir],
      ...['--manage-cgroups-mode', 'soft', '--file-locks', '--tcp-established', containerId],
    ],
    { env: { CRIU_CONFIG_FILE: criuConfig, PATH: [binDir, ...DIRECTORIES].join(':') } },
  );
}

/**
 * Where the container's standard streams lead, as runc noted it at the start, e.g. `["/dev/null","pipe:[1]","pipe:[2]"]`.
 * A restore needs it to give those pipes new ends.
 */
export async function externalDescriptors(root: string, containerId: string): Promise<string[]> {
  const state: { external_descriptors?: string[] } = JSON.parse(
    await readFile(join(root, containerId, 'state.json'), 'utf8'),
  );
  return state.external_descriptors ?? [];
}
