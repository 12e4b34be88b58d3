/** The stdio of an ssh process as one Duplex; when ssh fails, the stream fails with what ssh said. */
import { Duplex } from 'node:stream';
import type { Started } from '../exec/run.ts';
import { type SshDestination, sshFailure } from '../tools/ssh.ts';

const STDERR_BYTES = 8 << 10;
const BUFFER_BYTES = 1 << 20;
/**
 * How long ssh may take to end after its output has, before that counts as a half-close: long where nothing has come,
 * for then ssh has failed and its status tells why; short afterwards, for then the agent has died.
 */
const EXIT_MS = { before: 1000, after: 50 };

export class SshStream extends Duplex {
  readonly #process: Started;

  constructor(process: Started, destination: SshDestination) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES });
    this.#process = process;
    let stderr = '';
    process.stderr.on('data', (chunk) => {
      stderr = (stderr + chunk).slice(-STDERR_BYTES);
    });
    let exitMs = EXIT_MS.before;
    process.stdout.on('data', (chunk) => {
      exitMs = EXIT_MS.after;
      if (!this.push(chunk)) process.stdout.pause();
    });
    const ended = new Promise((resolve) => process.stdout.once('end', resolve));
    const failed = process.exited.then(({ code, error }) => {
      if (code !== 0) this.destroy(sshFailure(destination, code, error === undefined ? stderr : error.message));
    });
    const grace = ended.then(() => new Promise((resolve) => setTimeout(resolve, exitMs).unref()));
    void Promise.all([ended, Promise.race([failed, grace])]).then(() => this.destroyed || this.push(null));
    process.stdin.on('error', () => {}); // ssh has ended: its exit status tells why.
  }

  override _read(): void {
    this.#process.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // A write that fails because ssh has ended waits for its exit status: it says more than EPIPE.
    this.#process.stdin.write(chunk, (error) => (error ? void this.#process.exited.then(() => done(error)) : done()));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#process.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#process.kill();
    done(error);
  }
}
