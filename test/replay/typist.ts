/** A program that types into a container's terminal as a person does, by docker attach, and looks at the screen. */
import type { LabHost } from '../../lab/host.ts';
import type { Started } from '../../src/exec/run.ts';
import { ENTER, ESCAPE, promptAtEnd, type Session, type Step } from './session.ts';

const KEY_MS = 6;
const QUIET_MS = 150;
/** A prompt stands at the end of what came. */
const PROMPT = promptAtEnd('[#$%>] ');
const LIMIT_MS = 20_000;

/** Starts the session's container and does all that the session says in it. */
export async function record(host: LabHost, name: string, session: Session): Promise<void> {
  const { image = 'terminal', command, columns = 100, flags = [] } = session;
  await host.run('docker', [
    'run',
    '-dit',
    '--pull=never',
    '--name',
    name,
    '--hostname',
    'dev',
    ...flags,
    image,
    ...command,
  ]);
  const line = `stty cols ${columns} rows 30; exec docker attach --detach-keys=ctrl-@ ${name}`;
  const typist = new Typist(
    host.start('script', ['-qec', line, '/dev/null'], { env: { TERM: 'xterm', SHELL: '/bin/sh' } }),
  ).watch();
  await typist.quiet();
  // Attaching does not bring the prompt again; an empty line does.
  await typist.do({ keys: ENTER });
  for (const step of session.steps) await typist.do(typeof step === 'string' ? { keys: step } : step);
  await typist.end();
}

/** The terminal's log, as the engine wrote it. */
export async function logOf(host: LabHost, name: string): Promise<string> {
  const { stdout } = await host.run('docker', ['inspect', '--format', '{{.LogPath}}', name]);
  return stdout.trim();
}

class Typist {
  readonly #program: Started;
  #seen = '';
  #at = performance.now();

  constructor(program: Started) {
    this.#program = program;
    program.stdin.on('error', () => {});
    program.stdout.on('data', (chunk: Buffer) => {
      this.#seen += chunk.toString('utf8');
      this.#at = performance.now();
    });
  }

  async do(step: Exclude<Step, string>): Promise<void> {
    this.#seen = '';
    this.#at = performance.now();
    for (const key of step.pasted ? [step.keys] : keysOf(step.keys)) {
      this.#program.stdin.write(key);
      await sleep(KEY_MS);
    }
    const until = step.until ?? (step.keys.endsWith(ENTER) ? PROMPT : undefined);
    const deadline = performance.now() + LIMIT_MS;
    while (until !== undefined && !until.test(this.#seen) && !this.#ended) {
      if (performance.now() > deadline)
        throw new Error(`after ${JSON.stringify(step.keys)}: ${JSON.stringify(this.#seen)}`);
      await sleep(20);
    }
    await this.quiet();
  }

  async quiet(): Promise<void> {
    while (performance.now() - this.#at < QUIET_MS) await sleep(20);
  }

  async end(): Promise<void> {
    this.#program.stdin.end();
    await this.#program.exited;
  }

  #ended = false;

  /** For a session whose shell ends: nothing more will come. */
  watch(): this {
    void this.#program.ended.then(() => {
      this.#ended = true;
    });
    return this;
  }
}

const KEY = new RegExp(`${ESCAPE}\\[[\\d;]*[A-Za-z~]|${ESCAPE}O[A-Z]|${ESCAPE}.|[\\s\\S]`, 'gu');

/** Single keys; what a key sends with escape stays together. */
function keysOf(text: string): string[] {
  return text.match(KEY) ?? [];
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
