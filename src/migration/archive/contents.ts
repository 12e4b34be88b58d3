/** What a workload is made of at the moment of its freeze, for whoever looks into the archive: read from /proc. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { z } from 'zod';
import { parseStatus } from '../../tools/proc.ts';
import { formatEndpoint, parseInetSockets, parseUnixSockets } from '../../tools/proc-net.ts';

const processSchema = z.object({
  /** In the workload's own pid namespace; the parent's is 0 for the first. */
  pid: z.number(),
  parent: z.number(),
  name: z.string(),
  command: z.array(z.string()),
  threads: z.number(),
  /** Resident, in bytes. */
  memory: z.object({ anonymous: z.number(), file: z.number(), shared: z.number(), swap: z.number() }),
  /** Descriptor and what it is. */
  files: z.array(z.object({ fd: z.number(), target: z.string() })),
  /** `NAME=value` */
  environment: z.array(z.string()),
});
export type ProcessContents = z.infer<typeof processSchema>;

export const contentsSchema = z.object({
  processes: z.array(processSchema),
  /** Open sockets of the network namespace, of all kinds. */
  sockets: z.array(
    z.object({
      ...{ kind: z.string(), local: z.string() },
      ...{ peer: z.string().exactOptional(), state: z.string().exactOptional() },
    }),
  ),
});
export type Contents = z.infer<typeof contentsSchema>;

export async function contentsOf(pids: readonly number[], proc = '/proc'): Promise<Contents> {
  const looked = await Promise.all(pids.map((pid) => lookAt(`${proc}/${pid}`).catch(() => undefined)));
  const found = looked.filter((one) => one !== undefined);
  const inner = new Map(found.map(({ host, process: { pid } }) => [host, pid]));
  const processes = found.map(({ hostParent, process }) => ({ ...process, parent: inner.get(hostParent) ?? 0 }));
  const [first] = pids;
  return {
    processes: processes.sort((a, b) => a.pid - b.pid),
    sockets: first === undefined ? [] : await socketsOf(`${proc}/${first}`),
  };
}

async function lookAt(dir: string): Promise<{ host: number; hostParent: number; process: ProcessContents }> {
  const [status, command, environment, files] = await Promise.all([
    readFile(`${dir}/status`, 'utf8'),
    readFile(`${dir}/cmdline`, 'utf8'),
    readFile(`${dir}/environ`, 'utf8').catch(() => ''),
    openFiles(dir),
  ]);
  const { pid: host, pids, name, anonBytes, shmemBytes, swapBytes } = parseStatus(status);
  const number = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return {
    host,
    hostParent: number('PPid'),
    process: {
      ...{ pid: pids.at(-1) ?? host, parent: 0, name, threads: number('Threads'), files },
      command: splitZeros(command),
      memory: { anonymous: anonBytes, file: number('RssFile') * 1024, shared: shmemBytes, swap: swapBytes },
      environment: splitZeros(environment),
    },
  };
}

async function openFiles(dir: string): Promise<ProcessContents['files']> {
  const fds = await readdir(`${dir}/fd`).catch(() => []);
  const files = fds.map(async (fd) => ({ fd: Number(fd), target: await readlink(`${dir}/fd/${fd}`).catch(() => '?') }));
  return (await Promise.all(files)).sort((a, b) => a.fd - b.fd);
}

async function socketsOf(dir: string): Promise<Contents['sockets']> {
  const kinds = ['tcp', 'tcp6', 'udp', 'udp6'] as const;
  const texts = await Promise.all(kinds.map((kind) => readFile(`${dir}/net/${kind}`, 'utf8').catch(() => '')));
  const unix = await readFile(`${dir}/net/unix`, 'utf8').catch(() => '');
  return [
    ...kinds.flatMap((kind, i) =>
      parseInetSockets(texts[i] ?? '').map(({ local, remote, state }) => ({
        ...{ kind, local: formatEndpoint(local), peer: formatEndpoint(remote), state: String(state) },
      })),
    ),
    ...parseUnixSockets(unix).flatMap(({ path, state }) =>
      path === undefined ? [] : [{ kind: 'unix', local: path, state }],
    ),
  ];
}

function splitZeros(text: string): string[] {
  return text.split('\0').filter((part, i, parts) => part !== '' || i < parts.length - 1);
}
