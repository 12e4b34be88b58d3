/** The files that make up drayage, as they are put on a host: this very process's own. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { machine } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { DrayageError } from '../errors.ts';
import { PROGRAM_DIRECTORY, PROGRAM_PARTS, WRAPPER, WRAPPER_TEXT } from './layout.ts';

const MAIN = `${PROGRAM_DIRECTORY}/main.mjs`;

export interface ProgramFile {
  /** Where it belongs on a host. */
  path: string;
  bytes: number;
  /** In hexadecimal. */
  sha256: string;
  open(): Readable;
}

export interface Program {
  version: string;
  /** As `uname -m` says it: what the node binary was made for. */
  arch: string;
  files: ProgramFile[];
  bytes: number;
}

export interface OwnFiles {
  /** Holds what scripts/build.ts makes. */
  directory: string;
  /** The Node.js binary. */
  node: string;
  version: string;
}

/** @throws DrayageError SETUP_NO_PROGRAM where one of the files is not there. */
export async function programOf({ directory, node, version }: OwnFiles): Promise<Program> {
  const files = await Promise.all([
    fromFile(`${PROGRAM_DIRECTORY}/node`, node),
    ...PROGRAM_PARTS.map((part) => fromFile(`${PROGRAM_DIRECTORY}/${part}`, join(directory, part))),
  ]);
  files.push(fromText(WRAPPER, WRAPPER_TEXT));
  return { version, arch: machine(), files, bytes: files.reduce((sum, file) => sum + file.bytes, 0) };
}

/** SHA-256 of the file by which one build is told from another. */
export function buildOf(program: Program): string {
  return program.files.find(({ path }) => path === MAIN)?.sha256 ?? '';
}

export async function sha256Of(source: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function fromFile(path: string, source: string): Promise<ProgramFile> {
  try {
    await access(source);
    const open = () => createReadStream(source, { highWaterMark: 1 << 20 });
    return { path, bytes: (await stat(source)).size, sha256: await sha256Of(open()), open };
  } catch (error) {
    throw new DrayageError('SETUP_NO_PROGRAM', `${source} cannot be read.`, { cause: error });
  }
}

function fromText(path: string, text: string): ProgramFile {
  const content = Buffer.from(text);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path, bytes: content.length, sha256, open: () => Readable.from([content]) };
}
