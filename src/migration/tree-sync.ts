/** How a tree of files gets to the target: compared with what is there, or packed where nobody answers. */
import { stat } from 'node:fs/promises';
import type { FileTree, WorkloadFacts } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { PackedSource } from '../files/packed-source.ts';
import { TreeSync } from '../files/sync.ts';
import type { SourceMigration } from './source-migration.ts';

/** What a live move needs of it. */
export type AnySync = Pick<TreeSync, 'firstPass' | 'prepareFinal' | 'finalPass' | typeof Symbol.asyncDispose>;
export type BeginSync<Sync> = (m: SourceMigration, workload: WorkloadFacts, tree: FileTree) => Promise<Sync>;

export const beginSync: BeginSync<AnySync> = async (m, workload, tree) => {
  if (m.target.oneWay !== true) return beginTreeSync(m, workload, tree);
  const { key } = tree;
  const common = await commonOptions(m, tree);
  const open = (part: 'first' | 'changes' | 'final') =>
    part === 'changes' ? m.channel('changes', { key }) : m.channel('tar', { key, pass: part, isFile: common.isFile });
  return new PackedSource({ ...common, open });
};

export const beginTreeSync: BeginSync<TreeSync> = async (m, workload, tree) => {
  const { key, kind } = tree;
  const { isFile, ...common } = await commonOptions(m, tree);
  return TreeSync.begin({
    ...common,
    ...(kind === 'upper' ? { merged: await mergedDir(m, workload) } : {}),
    openRemote: (_, pass) => m.channel('files', { key, pass, isFile }),
    pruneRemote: (_, listings) => m.target.prune(m.id, key, listings),
  });
};

async function commonOptions(m: SourceMigration, tree: FileTree) {
  const isFile = !(await stat(tree.path)).isDirectory();
  const onProgress = m.progress('prepare', tree.key, tree.bytes);
  return { tree, isFile, record: m.trace.program, signal: m.signal, onProgress };
}

/** The source's own view of its root file system, without what is mounted into it. */
async function mergedDir(m: SourceMigration, { id, ref }: WorkloadFacts): Promise<string> {
  const { GraphDriver } = await m.docker.inspect(id, { signal: m.signal });
  if (GraphDriver?.Data?.MergedDir !== undefined) return GraphDriver.Data.MergedDir;
  throw new DrayageError('TARGET_STORAGE', `The engine does not tell where ${ref.name} keeps its files.`);
}
