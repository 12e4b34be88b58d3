/**
 * Types the sessions of test/replay/sessions.ts into containers of a lab host and keeps their logs in the corpus:
 * `node scripts/record-sessions.ts LAB [SESSION...]`, after `drayage lab up --name LAB`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lab } from '../lab/lab.ts';
import { SESSIONS } from '../test/replay/sessions.ts';
import { logOf, record } from '../test/replay/typist.ts';

const [labName = 'lab', ...wanted] = process.argv.slice(2);
const lab = await Lab.open(labName);
const host = lab.host('a');
for (const [name, session] of Object.entries(SESSIONS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  await lab.image(session.image ?? 'terminal', ['a']);
  const container = `record-${name}`;
  await host.run('docker', ['rm', '-f', container]);
  await record(host, container, session).catch((error: unknown) => console.log(`${name}:`, error));
  const directory = join('test/replay/corpus', name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'session.jsonl'), await readFile(host.path(await logOf(host, container))));
  console.log(`recorded ${name}`);
}
