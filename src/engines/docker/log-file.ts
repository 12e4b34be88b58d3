/** Where the engine writes a container's log, for drivers whose files can be carried. */
import { join } from 'node:path';
import type { ContainerInspect } from '../../tools/docker-types.ts';

export interface LogFile {
  format: 'json-file' | 'local';
  path: string;
}

/**
 * Undefined for drivers that keep the log elsewhere. The places are moby's: daemon/logs.go for json-file (where inspect
 * tells it only after the first start), daemon/logger/local for local.
 */
export function logFileOf(
  inspect: Pick<ContainerInspect, 'Id' | 'HostConfig' | 'LogPath'>,
  dataRoot: string,
): LogFile | undefined {
  const directory = join(dataRoot, 'containers', inspect.Id);
  const { Type: type } = (inspect.HostConfig.LogConfig ?? {}) as { Type?: string };
  switch (type) {
    case 'json-file':
      return { format: 'json-file', path: inspect.LogPath || join(directory, `${inspect.Id}-json.log`) };
    case 'local':
      return { format: 'local', path: join(directory, 'local-logs', 'container.log') };
    default:
      return undefined;
  }
}
