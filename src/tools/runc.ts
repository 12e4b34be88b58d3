/** runc: what drayage asks of it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../exec/run.ts';
import { Checkpoint } from './checkpoint.ts';
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
  criuPath: string;
  /** Programs that runc and CRIU are to find before the host's; must exist. */
  binDir: string;
}

/**
 * Begins a dump of a container: runc is started while the workload still runs, and the CRIU that it starts waits until
 * the workload is frozen. So runc's own start and its question after CRIU's version, 40 ms here, are not in the freeze.
 */
export function beginCheckpoint(options: CheckpointOptions): Promise<Checkpoint> {
  const { run, criuPath, workDir, binDir } = options;
  // runc asks CRIU for its version first, on an inherited descriptor above 3; the dump itself comes on descriptor 3.
  const isDump = '[ "$1 $2" = "swrk 3" ]';
  return Checkpoint.begin({
    run,
    criuPath,
    workDir,
    binDir,
    isDump,
    start: (signal) => checkpoint({ ...options, signal }),
  });
}

/** runc's dump of a container. */
export async function checkpoint({
  run,
  root,
  containerId,
  imagesDir,
  workDir,
  criuConfig,
  binDir,
  signal,
}: Omit<CheckpointOptions, 'criuPath'> & { signal?: AbortSignal }): Promise<void> {
  await run(
    'runc',
    [
      ...['--root', root, 'checkpoint', '--leave-running', '--image-path', imagesDir, '--work-path', workDir],
      ...['--manage-cgroups-mode', 'soft', '--file-locks', '--tcp-established', containerId],
    ],
    {
      env: { CRIU_CONFIG_FILE: criuConfig, PATH: [binDir, ...DIRECTORIES].join(':') },
      ...(signal === undefined ? {} : { signal }),
    },
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
