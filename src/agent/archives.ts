/** Exports and imports: migrations of which one end is an archive. */
import { encrypted, type Lock } from '../archive/encryption.ts';
import { fileOutput, streamOutput } from '../archive/output.ts';
import { type HostFacts, isTree } from '../engines/facts.ts';
import { DrayageError } from '../errors.ts';
import { untilAborted } from '../exec/limits.ts';
import { runner } from '../exec/run.ts';
import { anyHost, nothingOf } from '../migration/archive/any-host.ts';
import { ARCHIVE, archiveOutcome } from '../migration/archive/archive-outcome.ts';
import { ArchiveTarget, type ArchiveTargetOptions } from '../migration/archive/archive-target.ts';
import { checkStream } from '../migration/archive/export-findings.ts';
import { checkImport } from '../migration/archive/import-findings.ts';
import type { Manifest } from '../migration/archive/manifest.ts';
import { occupiedBinds } from '../migration/archive/occupied-binds.ts';
import { archiveOf } from '../migration/archive/recover-import.ts';
import { replay } from '../migration/archive/replay.ts';
import type { MigrateOptions } from '../migration/events.ts';
import { surveyTarget } from '../migration/facts.ts';
import type { Finding } from '../migration/finding.ts';
import { Journal } from '../migration/journal.ts';
import { lastState } from '../migration/journal-records.ts';
import { makePlan, type Plan } from '../migration/plan.ts';
import { preflight } from '../migration/preflight.ts';
import { surveyWorkload } from '../migration/survey.ts';
import type { TargetPort } from '../migration/target-port.ts';
import { Docker } from '../tools/docker.ts';
import { openTarget } from './agent-protocol.ts';
import type { ArchiveStreams } from './archive-streams.ts';
import type { Migrations } from './migrations.ts';
import { type ArchiveFile, identityOf, readFileArchive, verifyArchive } from './opened-archive.ts';

export interface ExportRequest {
  workload: string;
  /** Absolute, or `-` for whoever comes with `token`. */
  path: string;
  token?: string;
  image: boolean;
  lock?: Lock;
  options: MigrateOptions;
}

export interface ArchivesOptions {
  migrations: Migrations;
  streams: ArchiveStreams;
  hostFacts: (signal: AbortSignal) => Promise<HostFacts>;
  localTarget: () => TargetPort;
  self: { name: string; machine: string };
  version: string;
  journalDir: string;
}

/** States of a target whose copy has run, or may have. */
const IMPORTED = ['committed', 'running', 'released', 'unknown'];

/** Of a tree of processes: what only the host knows that it comes to. */
export type ImportChoice = Partial<Pick<MigrateOptions, 'replaceFiles' | 'pidNamespace' | 'privateRoot'>>;

interface Waiting {
  id: string;
  goOn: (file: ArchiveFile) => void;
}

export class Archives {
  readonly #options: ArchivesOptions;
  /** Imports that found no room, by the archive's id. */
  readonly #waiting = new Map<string, Waiting>();
  /** The file that was verified last: it is examined first, and imported a moment later. */
  #verified: { identity: string; manifest: Manifest } | undefined;

  constructor(options: ArchivesOptions) {
    this.#options = options;
  }

  /** What stands against an export, and what it will hold. */
  async checkExport(
    {
      workload,
      image,
      options,
      toStream,
    }: Pick<ExportRequest, 'workload' | 'image' | 'options'> & { toStream: boolean },
    signal: AbortSignal,
  ): Promise<{ findings: Finding[]; plan: Plan }> {
    await using docker = new Docker({});
    const [facts, host] = await Promise.all([
      surveyWorkload(docker, runner(), workload, signal),
      this.#options.hostFacts(signal),
    ]);
    const known = anyHost(host, image || isTree(facts) ? undefined : facts.image);
    const target = isTree(facts) ? { ...known, tree: nothingOf(facts) } : known;
    const surveyed = { workload: facts, source: host, target };
    const streamed = checkStream(facts.ref.name, toStream, options.leaveRunning);
    return { findings: [...preflight(surveyed, options), ...streamed], plan: makePlan(surveyed, options) };
  }

  /** @throws DrayageError ARCHIVE_EXISTS, ARCHIVE_WRITE, USAGE before anything is touched */
  async export(request: ExportRequest): Promise<string> {
    const { workload, path, options } = request;
    const { migrations } = this.#options;
    const to = `${ARCHIVE}${path}`;
    return migrations.start(
      { workload, to, options },
      { dial: () => this.#archiveTarget(request), redial: async () => archiveOutcome(path) },
    );
  }

  /** Reads all of it; nothing is created. */
  async checkImport(
    file: ArchiveFile,
    chosen: ImportChoice,
    signal: AbortSignal,
  ): Promise<{ manifest: Manifest; findings: Finding[] }> {
    const manifest = withChoice(await this.#verify(file), chosen);
    // Its own half of a workload is no obstacle.
    if (this.#waiting.has(manifest.id)) return { manifest, findings: [] };
    await this.#assertNew(manifest);
    const here = this.#options.localTarget();
    here.signal = signal;
    const [host, occupied] = await Promise.all([surveyTarget(manifest.workload, here), occupiedBinds(manifest)]);
    return { manifest, findings: checkImport(manifest, host, occupied) };
  }

  /** Begins an import, or goes on with one that found no room. @returns its id, and how many events are old */
  async import(file: ArchiveFile, chosen: ImportChoice): Promise<{ id: string; from: number }> {
    const manifest = withChoice(await this.#verify(file), chosen);
    const waiting = this.#waiting.get(manifest.id);
    if (waiting !== undefined) {
      const { events } = await this.#options.migrations.show(waiting.id);
      waiting.goOn(file);
      return { id: waiting.id, from: events.length };
    }
    await this.#assertNew(manifest);
    return { id: await this.#begin(manifest, file), from: 0 };
  }

  /** Takes back an import that waits for room. */
  async undo(file: ArchiveFile): Promise<string> {
    const manifest = await this.#verify(file);
    const waiting = this.#waiting.get(manifest.id);
    if (waiting === undefined)
      throw new DrayageError('MIGRATION_UNKNOWN', 'There is no import of this archive that waits here.');
    this.#options.migrations.undo(waiting.id);
    return waiting.id;
  }

  #begin(manifest: Manifest, file: ArchiveFile): Promise<string> {
    const { migrations, localTarget, self, streams } = this.#options;
    // Never a file of the user's.
    const hold = ({ path, spooled = false }: ArchiveFile): void => void (spooled && streams.keep(path));
    const release = async ({ path, spooled = false }: ArchiveFile): Promise<void> => {
      if (spooled) await streams.remove(path);
    };
    let current = file;
    const { engine, name } = manifest.workload.ref;
    const request = { workload: `${engine}:${name}`, to: self.name, options: manifest.options };
    return migrations.start(request, {
      dial: async () => localTarget(),
      from: `${ARCHIVE}${file.spooled ? '-' : file.path}`,
      header: { archive: manifest.id },
      drive: async (m) => {
        hold(current);
        const room = (error: DrayageError): Promise<void> =>
          untilAborted(m.signal, (resolve) => {
            this.#waiting.set(manifest.id, {
              id: m.id,
              goOn: (other) => {
                if (other.path !== current.path) void release(current);
                current = other;
                hold(current);
                this.#waiting.delete(manifest.id);
                resolve();
              },
            });
            m.emit({ type: 'waiting', error: error.toJSON() });
          });
        try {
          return await replay(m, { manifest, read: (options) => readFileArchive(current, options), room });
        } finally {
          this.#waiting.delete(manifest.id);
          await release(current);
        }
      },
    });
  }

  async #archiveTarget({ workload, path, token = '', image, lock }: ExportRequest): Promise<TargetPort> {
    const { hostFacts, self, version, streams } = this.#options;
    const output = path === '-' ? streamOutput(await streams.reader(token)) : await fileOutput(path);
    try {
      const through = lock && (await encrypted(output.stream, lock));
      return new ArchiveTarget({
        ...{ output, hostFacts, self, drayage: version, assertOpenable },
        ...(through && { through }),
        ...(image ? {} : await imageOf(workload)),
      });
    } catch (error) {
      await output.discard();
      throw error;
    }
  }

  async #verify(file: ArchiveFile): Promise<Manifest> {
    const identity = await identityOf(file);
    if (this.#verified?.identity === identity) return this.#verified.manifest;
    const manifest = await verifyArchive(file);
    assertOpenable(manifest);
    this.#verified = { identity, manifest };
    return manifest;
  }

  /** @throws DrayageError ARCHIVE_IMPORTED for an export that has run here; a snapshot may come again. */
  async #assertNew({ id, kind, workload }: Manifest): Promise<void> {
    if (kind === 'snapshot' || this.#waiting.has(id)) return;
    for (const entry of await Journal.list(this.#options.journalDir)) {
      if (entry.side !== 'target' || 'error' in entry) continue;
      const state = lastState(entry.records);
      if (archiveOf(entry.records) !== id || state === 'aborted') continue;
      if (!IMPORTED.includes(state ?? ''))
        throw new DrayageError('WORKLOAD_BUSY', `${workload.ref.name} is being imported already, by ${entry.id}.`);
      throw new DrayageError('ARCHIVE_IMPORTED', `${workload.ref.name} of this archive was imported here before.`);
    }
  }
}

function withChoice(manifest: Manifest, chosen: ImportChoice): Manifest {
  return { ...manifest, options: { ...manifest.options, ...chosen } };
}

/** As what another agent asks for is checked. @throws DrayageError ARCHIVE_DAMAGED */
function assertOpenable({ id, workload, options }: Manifest): void {
  const parsed = openTarget.safeParse({ id, workload, options, parents: {} });
  if (parsed.success) return;
  const [{ path, message } = { path: [], message: '' }] = parsed.error.issues;
  const what = `What the archive says of its workload is not to be understood: ${path.join('.')}: ${message}.`;
  throw new DrayageError('ARCHIVE_DAMAGED', what, { cause: parsed.error });
}

async function imageOf(workload: string): Promise<Pick<ArchiveTargetOptions, 'image'>> {
  await using docker = new Docker({});
  const facts = await surveyWorkload(docker, runner(), workload, AbortSignal.timeout(60_000));
  return isTree(facts) ? {} : { image: { id: facts.image.id, tags: facts.image.tags } };
}
