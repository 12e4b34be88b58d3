/**
 * age's passphrase recipient (C2SP age.md, "The scrypt recipient type") with the key derived on a thread by Node's own
 * scrypt. The library's derives it in JavaScript, and holds up everything else that the agent does for a second: with a
 * busy machine for so long that a peer takes it for dead. A test holds the two against each other.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { type Identity, type Recipient, Stanza } from 'age-encryption';

const LABEL = 'age-encryption.org/v1/scrypt';
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const TAG_BYTES = 16;
const NONCE = Buffer.alloc(12);
/** log2 of the work, as of age itself: about a second. */
const WORK = 18;
/** What a file may ask for: as the library has it. */
const MOST_WORK = 20;

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);

export function passphraseRecipient(passphrase: string): Recipient {
  return {
    wrapFileKey: async (fileKey) => {
      const salt = randomBytes(SALT_BYTES);
      const cipher = createCipheriv('chacha20-poly1305', await keyOf(passphrase, salt, WORK), NONCE, {
        authTagLength: TAG_BYTES,
      });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return [new Stanza(['scrypt', base64(salt), String(WORK)], body)];
    },
  };
}

export function passphraseIdentity(passphrase: string): Identity {
  return {
    unwrapFileKey: async (stanzas) => {
      const [stanza, ...more] = stanzas;
      if (stanza === undefined || stanza.args[0] !== 'scrypt') return null;
      const [, salt = '', work = ''] = stanza.args;
      const bytes = Buffer.from(salt, 'base64');
      const isValid = more.length === 0 && stanza.args.length === 3 && bytes.length === SALT_BYTES;
      if (!isValid || !/^[1-9][0-9]?$/.test(work) || Number(work) > MOST_WORK) throw new Error('invalid scrypt stanza');
      const body = Buffer.from(stanza.body);
      if (body.length !== 16 + TAG_BYTES) throw new Error('invalid scrypt stanza');
      const cipher = createDecipheriv('chacha20-poly1305', await keyOf(passphrase, bytes, Number(work)), NONCE, {
        authTagLength: TAG_BYTES,
      });
      cipher.setAuthTag(body.subarray(-TAG_BYTES));
      const fileKey = cipher.update(body.subarray(0, -TAG_BYTES));
      try {
        cipher.final();
      } catch {
        return null; // Another passphrase.
      }
      return new Uint8Array(fileKey);
    },
  };
}

function keyOf(passphrase: string, salt: Buffer, work: number): Promise<Buffer> {
  const options = { N: 2 ** work, r: 8, p: 1, maxmem: 2 * 128 * 8 * 2 ** work };
  return derive(passphrase, Buffer.concat([Buffer.from(LABEL), salt]), KEY_BYTES, options);
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
