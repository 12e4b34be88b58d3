/**
 * Makes the pictures of the README by moving containers in a lab: `node scripts/pictures.ts`, on a machine that has
 * nothing else to do, after ./dev build.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { LabHost } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { poll } from '../lab/poll.ts';
import { reportPicture } from './report-picture.ts';
import { terminalPicture } from './terminal-picture.ts';

const COLUMNS = 100;

const onProgress = (line: string) => void process.stderr.write(`pictures: ${line}\n`);
await using lab = await Lab.up({
  name: `pictures-${process.pid}`.slice(0, 13),
  hosts: ['a', 'b', 'c'],
  programDir: 'dist',
  ephemeral: true,
  onProgress,
});
const [a, b, c] = [lab.host('a'), lab.host('b'), lab.host('c')];
await a.run('docker', ['network', 'create', '--subnet', '172.30.0.0/24', 'shop']);

await begin('counter', /^5$/m);
await writeFile('docs/migrate.svg', await pictureOf(a, 'drayage migrate docker:web --to root@b'));
for (const host of [a, b]) await host.run('sh', ['-c', 'docker rm -f $(docker ps -aq)']);

// Another address: at the first one, what comes for the counter is still forwarded.
await begin('web', /^ready$/m, '--ip', '172.30.0.10', '-p', '8080:80', '-p', '7007:7');
const load = ['--url', `http://${a.address}:8080/`, '--tcp', `${a.address}:7007`];
const move = ['docker:web', '--host', 'root@a', '--to', 'root@b', '--rounds', '1', '--yes'];
onProgress('a move under load');
await c.run('drayage', ['bench', ...move, ...load, '-o', '/report.html']);
await writeFile('docs/clients.svg', reportPicture(await readFile(c.path('/report.html'), 'utf8')));

/** @param ready a line of its log, from which on it can be moved */
async function begin(image: string, ready: RegExp, ...flags: string[]): Promise<void> {
  await lab.image(image, ['a'], onProgress);
  await a.run('docker', ['run', '-d', '--pull=never', '--name', 'web', '--network', 'shop', ...flags, image]);
  const isReady = async () => (ready.test((await a.run('docker', ['logs', 'web'])).stdout) ? true : undefined);
  await poll(isReady, { everyMs: 100, timeoutMs: 30_000 });
}

/** What the command shows on a terminal. */
async function pictureOf(host: LabHost, line: string): Promise<string> {
  onProgress(line);
  const env = { TERM: 'xterm-256color', SHELL: '/bin/sh' };
  const script = ['--quiet', '--return', '--command', `stty cols ${COLUMNS}; ${line}`, '/dev/null'];
  const { stdout } = await host.run('script', script, { env });
  return terminalPicture(stdout, `root@${host.name}:~# ${line}`);
}
