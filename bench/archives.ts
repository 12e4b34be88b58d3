/** Export and import of a container, each as the whole command takes, beside zstd on what the archive holds. */
import { copyFile, rm, stat } from 'node:fs/promises';
import { BenchLab, begin, forgetPeakRss, warmMemory } from './bench-lab.ts';
import { agentPeakRssMb, ms, type Progress } from './moves.ts';
import type { ArchiveEntry } from './results.ts';
import { MEM512, REDIS512, type Scenario } from './scenarios.ts';
import { ratio, summarize } from './statistics.ts';

interface Archived {
  name: string;
  of: Scenario;
}

/** What zstd leaves as it is, which it does at the speed of memory, and what it makes less of. */
export const ARCHIVES: readonly Archived[] = [MEM512, REDIS512].map((of) => ({ name: `archive-${of.name}`, of }));

const FILE = '/root/web.drayage';
/** In memory: zstd is not to wait for a disk. */
const CONTENT = '/dev/shm/content';

interface Run {
  exportMs: number;
  importMs: number;
  zstdMs: number;
  contentBytes: number;
  archiveBytes: number;
}

export async function measureArchive({ name, of }: Archived, runs: number, progress: Progress): Promise<ArchiveEntry> {
  progress(`${name}: an archive of ${of.about}`);
  await using bench = await BenchLab.up({ hosts: ['a', 'b'], docker: 26, onProgress: progress });
  await bench.lab.image(of.image, ['a', 'b']);
  progress(`${name}: once to warm up`);
  await once(bench, of);
  for (const host of bench.pair) await forgetPeakRss(host);
  const all: Run[] = [];
  for (let i = 1; i <= runs; i++) {
    const run = await once(bench, of);
    all.push(run);
    const told = `export ${ms(run.exportMs)}, import ${ms(run.importMs)}, zstd ${ms(run.zstdMs)}`;
    progress(`${name} ${i}/${runs}: ${told}`);
  }
  return entryOf(name, all, await agentPeakRssMb(bench));
}

async function once(bench: BenchLab, scenario: Scenario): Promise<Run> {
  const [a, b] = bench.pair;
  const timed = async (host: typeof a, program: string, ...args: string[]): Promise<number> => {
    const began = performance.now();
    await host.run(program, args, { timeoutMs: 120_000 });
    return performance.now() - began;
  };
  const check = async (host: typeof a): Promise<string | undefined> =>
    scenario.check && (await host.run('docker', ['exec', 'web', ...scenario.check], { timeoutMs: 60_000 })).stdout;
  await begin(scenario, a);
  const before = await check(a);
  const exportMs = await timed(a, 'drayage', 'export', 'docker:web', '-o', FILE, '--yes');
  await copyFile(a.path(FILE), b.path(FILE));
  await warmMemory(b);
  const importMs = await timed(b, 'drayage', 'import', FILE, '--yes');
  if ((await check(b)) !== before) throw new Error(`${scenario.name} is not what was exported.`);
  // The pieces of all streams, one after another, are what zstd itself would have written.
  await a.run('sh', ['-c', `tar -xOf ${FILE} --wildcards '[0-9]*.zst/*' | zstd -dcq >${CONTENT}`]);
  const zstdMs = await timed(a, 'sh', '-c', `zstd -1 -cq ${CONTENT} | cat >/dev/null`);
  const [content, archive] = [await a.run('stat', ['-c', '%s', CONTENT]), await stat(a.path(FILE))];
  await a.run('rm', [CONTENT]);
  for (const host of bench.pair) await rm(host.path(FILE));
  await bench.removeAll();
  return { exportMs, importMs, zstdMs, contentBytes: Number(content.stdout), archiveBytes: archive.size };
}

function entryOf(scenario: string, all: readonly Run[], agentPeakRssMb: number): ArchiveEntry {
  const of = (figure: keyof Run) => summarize(all.map((run) => run[figure]));
  const [exportMs, importMs, zstdMs] = [of('exportMs'), of('importMs'), of('zstdMs')];
  return {
    ...{ scenario, runs: all.length, exportMs, importMs, zstdMs },
    ...{ contentBytes: of('contentBytes').median, archiveBytes: of('archiveBytes').median, agentPeakRssMb },
    exportVsZstd: ratio(zstdMs, exportMs),
    importVsZstd: ratio(zstdMs, importMs),
  };
}
