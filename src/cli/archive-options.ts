/** Options that exports, imports and looks into archives share. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Key, Lock } from '../archive/encryption.ts';
import { DrayageError } from '../errors.ts';

export interface KeyFlags {
  passphraseFile?: string;
  identity?: string;
}

export interface LockFlags {
  passphraseFile?: string;
  encryptTo?: string[];
}

export function withKeyOptions(command: Command): Command {
  return command
    .option(
      '--passphrase-file <file>',
      'opens an archive that was encrypted to a passphrase: the first line of the file',
    )
    .option('--identity <file>', 'opens an archive that was encrypted to a key: the file that age-keygen wrote');
}

export function withLockOptions(command: Command): Command {
  return command
    .option('--encrypt-to <recipient>', 'encrypt to this key (age1...); may be given more than once', collect)
    .option('--passphrase-file <file>', 'encrypt to a passphrase: the first line of the file');
}

/** @throws DrayageError USAGE */
export async function keyOf({ passphraseFile, identity }: KeyFlags): Promise<Key | undefined> {
  if (passphraseFile !== undefined && identity !== undefined)
    throw new DrayageError('USAGE', 'An archive is opened by --passphrase-file or by --identity, not by both.');
  if (passphraseFile !== undefined) return { passphrase: await passphraseIn(passphraseFile) };
  if (identity === undefined) return undefined;
  const identities = (await linesOf(identity)).filter((line) => line !== '' && !line.startsWith('#'));
  if (identities.length === 0) throw new DrayageError('USAGE', `There is no identity in ${identity}.`);
  return { identities };
}

/** @throws DrayageError USAGE */
export async function lockOf({ passphraseFile, encryptTo }: LockFlags): Promise<Lock | undefined> {
  if (passphraseFile !== undefined && encryptTo !== undefined)
    throw new DrayageError('USAGE', 'An archive is encrypted by --passphrase-file or by --encrypt-to, not by both.');
  if (passphraseFile !== undefined) return { passphrase: await passphraseIn(passphraseFile) };
  return encryptTo === undefined ? undefined : { recipients: encryptTo };
}

/** As the agent takes it: absolute, or `-` with a token for the stream that goes with it. */
export function archivePath(path: string): { path: string; token?: string } {
  return path === '-' ? { path, token: randomBytes(16).toString('hex') } : { path: resolve(path) };
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

async function passphraseIn(file: string): Promise<string> {
  const [passphrase = ''] = await linesOf(file);
  if (passphrase === '') throw new DrayageError('USAGE', `The first line of ${file} is empty.`);
  return passphrase;
}

async function linesOf(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new DrayageError('USAGE', `${file} cannot be read: ${error.message}.`, { cause: error });
  });
  return text.split('\n').map((line) => line.replace(/\r$/, ''));
}
