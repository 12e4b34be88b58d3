/**
 * Makes the pictures of the README by moving containers in a lab: `node scripts/pictures.ts`, on a machine that has
 * nothing else to do, after ./dev build.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { LabHost } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { reportPicture } from './report-picture.ts';
import { terminalPicture } from './terminal-picture.ts';

const COLUMNS = 100;
/** Before the first move, so that counters count and agents have looked around. */
const SETTLE_MS = 3000;

const onProgress = (line: string) => void process.stderr.write(`pictures: ${line}\n`);
await using lab = await Lab.up({
  name: `pictures-${process.pid}`.slice(0, 13),
  hosts: ['a', 'b', 'c'],
  programDir: 'dist',
  ephemeral: true,
  onProgress,
});
const [a, c] = [lab.host('a'), lab.host('c')];
await a.run('docker', ['network', 'create', '--subnet', '172.30.0.0/24', 'shop']);

await begin('web', '-p', '8080:80', '-p', '7007:7');
const load = ['--url', `http://${a.address}:8080/`, '--tcp', `${a.address}:7007`];
const moves = ['docker:web', '--host', 'root@a', '--to', 'root@b', '--rounds', '6', '--yes'];
onProgress('six moves under load');
await c.run('drayage', ['bench', ...moves, ...load, '-o', '/report.html']);
await writeFile('docs/clients.svg', reportPicture(await readFile(c.path('/report.html'), 'utf8')));
// It is home again, and no forward is left.
await a.run('docker', ['rm', '-f', 'web']);

await begin('counter');
await writeFile('docs/migrate.svg', await pictureOf(a, 'drayage migrate docker:web --to root@b'));

async function begin(image: string, ...flags: string[]): Promise<void> {
  await lab.image(image, ['a'], onProgress);
  await a.run('docker', ['run', '-d', '--pull=never', '--name', 'web', '--network', 'shop', ...flags, image]);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** What the command shows on a terminal. */
async function pictureOf(host: LabHost, line: string): Promise<string> {
  onProgress(line);
  const env = { TERM: 'xterm-256color', SHELL: '/bin/sh' };
  const script = ['--quiet', '--return', '--command', `stty cols ${COLUMNS}; ${line}`, '/dev/null'];
  const { stdout } = await host.run('script', script, { env });
  return terminalPicture(stdout, `root@${host.name}:~# ${line}`);
}
