/** Source and target of a tree on this machine, connected by a socket as two hosts would be. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Pass, TreeSyncOptions } from '../sync.ts';
import { pruneTree, receiveTree } from '../target.ts';

/** A directory for a test; gone with all that is in it at the end of the block. */
export function scratch(parent: string = tmpdir()): Disposable & { path: string } {
  const path = mkdtempSync(join(parent, 'drayage-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Both ends of a connection, each of which can be closed for itself. */
export async function connection(): Promise<[Duplex, Duplex]> {
  using directory = scratch();
  const path = join(directory.path, 's');
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<Duplex>((resolve) => server.once('connection', resolve));
  const dialled = connect({ path, allowHalfOpen: true });
  const ends: [Duplex, Duplex] = [dialled, await accepted];
  server.close();
  return ends;
}

export interface Rig {
  options: Pick<TreeSyncOptions, 'openRemote' | 'pruneRemote'>;
  /** Passes whose stream was opened. */
  opened: Pass[];
  /** Resolves when all receivers have ended. */
  idle(): Promise<void>;
}

/** A target whose tree is at `roots`. */
export function target(roots: { first: string; final: string; isFile?: boolean }): Rig {
  const opened: Pass[] = [];
  const receivers: Promise<void>[] = [];
  return {
    opened,
    idle: async () => void (await Promise.all(receivers)),
    options: {
      openRemote: async (_key, pass) => {
        opened.push(pass);
        const [near, far] = await connection();
        receivers.push(receiveTree({ root: roots[pass], isFile: roots.isFile ?? false, stream: far }));
        return near;
      },
      pruneRemote: async (_key, listings) => pruneTree({ root: roots.final, listings: overWire(listings) }),
    },
  };
}

function overWire<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}
