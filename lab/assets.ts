/** Files of the lab that are not TypeScript: beside this module in a checkout, in lab/ beside the program when built. */
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The path of one, as `host/boot.sh`. */
export async function asset(name: string): Promise<string> {
  const beside = fileURLToPath(new URL(name, import.meta.url));
  return access(beside).then(
    () => beside,
    () => fileURLToPath(new URL(`lab/${name}`, import.meta.url)),
  );
}
