/** Named pipes, as the kernel opens them: fifo(7). */
import { constants, openSync } from 'node:fs';

/** The end to write to; undefined as long as nobody has opened the other. @throws the file system's error */
export function openWhereRead(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return undefined;
    throw error;
  }
}
