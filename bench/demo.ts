/**
 * `./dev demo`: a container counts over one open connection of a client, and moves to another host and home; on the way
 * home, under load, which makes a report with a picture. Leaves no lab running.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { LabHost } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { poll } from '../lab/poll.ts';
import { CountingClient } from './counting-client.ts';

const REPORT = 'bench/out/demo.html';
/** So long the count is watched before and after each move. */
const WATCH_MS = 1500;

const say = (line = '') => void process.stdout.write(`${line}\n`);
const onProgress = (line: string) => void process.stderr.write(`demo: ${line}\n`);
const terminal = process.stdout.isTTY && process.stdin.isTTY ? process.env.TERM : undefined;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

await using lab = await Lab.up({
  name: `demo-${process.pid}`.slice(0, 13),
  hosts: ['a', 'b', 'c'],
  programDir: 'dist',
  ephemeral: true,
  onProgress,
  signal: stop.signal,
});
await lab.image('web', ['a'], onProgress);
const [a, b, c] = [lab.host('a'), lab.host('b'), lab.host('c')];
// With a network of its own, the container keeps its address, and there is less to be noted.
await a.run('docker', ['network', 'create', '--subnet', '172.30.0.0/24', 'shop']);
const ports = ['-p', '8080:80', '-p', '7007:7', '-p', '7013:13'];
await a.run('docker', ['run', '-d', '--pull=never', '--name', 'web', '--network', 'shop', ...ports, 'web']);
await untilReady(a);

say(`\nA client on host c opens one connection, over which the container counts:\n\nroot@c:~# nc ${a.address} 7013`);
const client = new CountingClient(c, a.address, 7013);
await watch();
const before = client.counted;
await shown(a, 'drayage', 'migrate', 'docker:web', '--to', 'root@b', '--yes');
await shown(b, 'docker', 'ps', '--format', 'table {{.Names}}\\t{{.Image}}\\t{{.Status}}');
await shown(a, 'drayage', 'forwards', 'ls');
say('\nStill the same connection, at the same address:\n');
await watch();
const between = client.counted;

say('\nAnd home again, under load: 200 new requests a second and 50 more connections, all to the address of host a.');
const load = ['--url', `http://${a.address}:8080/`, '--tcp', `${a.address}:7007`, '--settle', '2s'];
const home = ['docker:web', '--host', 'root@b', '--to', 'root@a', '--rounds', '1', '--yes'];
await shown(c, 'drayage', 'bench', ...home, ...load, '-o', 'report.html');
say();
await watch();
client.end();

if (!stop.signal.aborted) {
  await mkdir(dirname(REPORT), { recursive: true });
  await copyFile(c.path('/report.html'), REPORT);
  const [gone, back] = [client.longestPauseMs(before, between), client.longestPauseMs(between, client.counted)];
  const { way, count } = client.summary;
  say(`\nthe connection   ${way}`);
  say(`                 ${count}`);
  say(`                 longest pause ${Math.round(gone)} ms on the way to b, ${Math.round(back)} ms on the way home`);
  say(`the report       ${resolve(REPORT)}`);
  if (!client.isWell) process.exitCode = 1;
} else process.exitCode ||= 130;

/** Shows a command line and what comes of it; one that fails or is interrupted ends the demo. */
async function shown(host: LabHost, program: string, ...args: string[]): Promise<void> {
  if (stop.signal.aborted) return;
  const line = [program, ...args].map((word) => (/[^\w:/.@=-]/.test(word) ? `'${word}'` : word)).join(' ');
  say(`\nroot@${host.name}:~# ${line}`);
  const status = await host.onTerminal(program, args, terminal);
  if (status === 0) return;
  process.exitCode = status;
  stop.abort();
}

/** What the client is told, as it comes. */
async function watch(): Promise<void> {
  const draw = () => void (terminal && process.stdout.write(`\r\x1b[2K${client.line}`));
  const timer = setInterval(draw, 50);
  await new Promise<void>((end) => {
    setTimeout(end, WATCH_MS);
    stop.signal.addEventListener('abort', () => end(), { once: true });
  });
  clearInterval(timer);
  say(terminal === undefined ? client.line : `\r\x1b[2K${client.line}`);
}

async function untilReady(host: LabHost): Promise<void> {
  const logs = async () => (await host.run('docker', ['logs', 'web'])).stdout;
  const isReady = async () => stop.signal.aborted || (await logs()).includes('ready') || undefined;
  await poll(isReady, { everyMs: 100, timeoutMs: 30_000 });
}
