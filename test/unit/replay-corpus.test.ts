/** The recorded sessions: every command is found, and the Dockerfile is the expected one. */
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { matters, stepsOf } from '../../src/replay/dockerfile/steps.ts';
import { type Captured, writeDockerfile } from '../../src/replay/dockerfile/write.ts';
import { readSession } from '../../src/replay/session/read-session.ts';
import type { Session } from '../replay/session.ts';
import { SESSIONS } from '../replay/sessions.ts';

const CORPUS = 'test/replay/corpus';

describe.each(Object.entries(SESSIONS))('%s', (name, session) => {
  const log = join(CORPUS, name, 'session.jsonl');

  test('its commands are found, each as it was run', async () => {
    const { commands } = await readSession(log);
    expect(commands.map(({ text }) => text)).toEqual(session.commands);
  });

  test('its Dockerfile', async () => {
    const { commands } = await readSession(log, { matters });
    const base = { directory: session.directory ?? '/', user: 'root' };
    const { steps, findings } = stepsOf(commands, {
      base,
      homes: new Map(Object.entries(session.homes ?? {})),
      keepFailed: false,
    });
    const draft = writeDockerfile(steps, {
      from: `${session.image ?? 'terminal'}:latest`,
      about: [],
      base,
      captured: captured(session),
    });
    await expect(draft.dockerfile).toMatchFileSnapshot(join('..', '..', CORPUS, name, 'Dockerfile'));
    expect(validate(draft.dockerfile)).toEqual([]);
    expect([...findings, ...draft.findings].map(({ code }) => code)).toEqual(session.findings ?? []);
  });
});

test('no secret of the sessions is in a Dockerfile', async () => {
  const { commands } = await readSession(join(CORPUS, 'bash-secrets', 'session.jsonl'));
  const { steps } = stepsOf(commands, { base: { directory: '/', user: 'root' }, keepFailed: true });
  const written = JSON.stringify(steps);
  for (const secret of ['s3cr3t-v4lue-0123', 'hunter22', 'ghp_abcdefghijklmnopqrstuvwxyz0123456789']) {
    expect(written).not.toContain(secret);
  }
});

function captured({ edited = {} }: Session): Map<string, Captured> {
  const files = Object.entries(edited).map(
    ([path, text]) => [path, { content: Buffer.from(text), mode: 0o644, uid: 0, gid: 0 }] as const,
  );
  return new Map(files);
}
